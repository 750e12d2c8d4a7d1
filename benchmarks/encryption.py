"""What encryption costs a commit: the same decisions, with a key ring and without, side by side."""

import random
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from benchmarks.commit import KEYS, SEED, in_flight, sample_decisions
from decisionlog import DecisionLog, Proposal
from decisionlog.key_ring import KeyRing, record_key

REPETITIONS: Final = 5
RECORDS: Final = 10_000
_MAP_SIZE_BYTES: Final = 1024**3
_RINGS: Final = {"plain": KeyRing(), "encrypted": KeyRing((record_key(bytes(32)),))}


def run() -> dict[str, float]:
    """Measure.

    Returns:
        Medians over `REPETITIONS` of runs side by side: records a second committed and read
        again, plain and encrypted, and the ratio of encrypted to plain for each.
    """
    decisions = sample_decisions(random.Random(SEED))[:RECORDS]  # noqa: S311 - test data
    proposals = [[Proposal(decision)] for decision in decisions]
    rounds = [
        {name: _speeds(ring, proposals) for name, ring in _RINGS.items()}
        for _ in range(REPETITIONS)
    ]
    found = {}
    for place, what in enumerate(("commit", "read")):
        for name in _RINGS:
            found[f"encryption_{what}_{name}_per_s"] = median(each[name][place] for each in rounds)
        found[f"encryption_{what}_ratio"] = median(
            each["encrypted"][place] / each["plain"][place] for each in rounds
        )
    return found


def _speeds(ring: KeyRing, proposals: list[list[Proposal]]) -> tuple[float, float]:
    """Records a second that are committed, and that are read again."""
    with (
        TemporaryDirectory() as directory,
        DecisionLog.open(
            Path(directory), keys=KEYS, map_size_bytes=_MAP_SIZE_BYTES, key_ring=lambda: ring
        ) as log,
    ):
        committed_s = in_flight(log.submit, proposals)
        started_s = perf_counter()
        count = sum(1 for _ in log.scan())
        return RECORDS / committed_s, count / (perf_counter() - started_s)
