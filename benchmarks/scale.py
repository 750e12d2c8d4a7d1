"""How a log of ten million decisions compares with one of a hundred thousand."""

import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count, islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import perf_counter
from typing import Final

from benchmarks.commit import KEYS, decision_from, in_flight, reward_on
from decisionlog import Decision, DecisionIds, DecisionLog, Delivery, DeliveryStatus, Proposal
from policy.catalog import Reward as RewardRule
from replay.bulk.tally import tally

SMALL: Final = 100_000
LARGE: Final = 10_000_000
BATCH: Final = 4_000
"""Decisions of one operation while a log is filled; a tenth as many deliveries follow, and as many
rewards."""
ADDED: Final = 20_000
"""Decisions that are recorded one by one to find out how fast that is."""
REPETITIONS: Final = 5
SEED: Final = 11

_START_MS: Final = 1_760_000_000_000
_LIKENESSES: Final = 256  # making ten million decisions that differ in all would take longest
_DELIVERED: Final = 10  # every tenth
_RULE: Final = RewardRule.model_validate({"weights": {"visit": 1.0}})
_MAP_SIZE_BYTES: Final = 64 * 1024**3
_DISK_FREE_BYTES: Final = 16 * 1024**3
_WATCH_S: Final = 0.05


def run() -> dict[str, float]:
    """Measure.

    Returns:
        Of a large log: its size, and how fast it was filled, in rows a second with all encoding;
        how long opening takes; how fast single decisions are recorded with 64 in flight, and that
        as a share of what a small log takes, measured in turns; how many decisions a second are
        joined with their rewards and deliveries and counted, by one process and by two, and the
        memory that one took for it at most.
    """
    if shutil.disk_usage(Path(__file__)).free < _DISK_FREE_BYTES:
        raise SystemExit("the benchmark of scale needs 16 GiB of free disk beside this file")
    with _directory() as small, _directory() as large:
        return _measured(Path(small), Path(large))


def _measured(small: Path, large: Path) -> dict[str, float]:
    _fill(small, SMALL)
    started_s = perf_counter()
    rows = _fill(large, LARGE)
    filled_s = perf_counter() - started_s
    turns = [
        (_recorded_s(small, SMALL, turn), _recorded_s(large, LARGE, turn))
        for turn in range(REPETITIONS)
    ]
    joined_per_s, memory_bytes = _joined(large, 1)
    both_per_s, _ = _joined(large, 2)
    return {
        "decisions": float(LARGE),
        "file_gib": (large / "log" / "data.mdb").stat().st_blocks * 512 / 1024**3,
        "filled_rows_per_s": rows / filled_s,
        "opening_s": median(_opening_s(large) for _ in range(REPETITIONS)),
        "commit_with_encoding_records_per_s": ADDED / median(after for _, after in turns),
        "commit_ratio_to_100k": median(before / after for before, after in turns),
        "joined_decisions_per_s": joined_per_s,
        "joined_decisions_per_s_2_processes": both_per_s,
        "join_memory_mib": memory_bytes / 1024**2,
    }


def _directory() -> "TemporaryDirectory[str]":
    return TemporaryDirectory(dir=Path(__file__).parent)


def _open(path: Path, *, read_only: bool = False) -> DecisionLog:
    return DecisionLog.open(
        path,
        keys=KEYS,
        read_only=read_only,
        map_size_bytes=None if read_only else _MAP_SIZE_BYTES,
    )


def _fill(path: Path, size: int) -> int:
    """Record decisions with their reports through the committer; return how many rows came."""
    made, rows = _decisions(_START_MS, SEED), 0
    with _open(path) as log:
        for start in range(0, size, BATCH):
            batch = list(islice(made, min(BATCH, size - start)))
            ticket = log.submit([Proposal(each) for each in batch])
            rewards = [reward_on(each) for each in batch]
            deliveries = [_delivery(each) for each in batch[::_DELIVERED]]
            ticket.result()
            log.report_rewards(rewards)
            log.report_deliveries(deliveries)
            rows += len(batch) + len(rewards) + len(deliveries)
    return rows


def _decisions(start_ms: int, seed: int) -> Iterator[Decision]:
    """Yield decisions without end, one in each millisecond."""
    source = random.Random(seed)  # noqa: S311 - test data
    ids = DecisionIds(count(start_ms).__next__, source.getrandbits)
    alike = [decision_from(bytes(16), source) for _ in range(_LIKENESSES)]
    while True:
        for each in alike:
            yield replace(each, decision_id=ids.new(), subject=source.randbytes(16))


def _delivery(decision: Decision) -> Delivery:
    at_ms = decision.decided_at_ms + 1_000
    return Delivery(decision.decision_id, "delivery-1", DeliveryStatus.SENT, at_ms, at_ms)


def _recorded_s(path: Path, size: int, turn: int) -> float:
    """Return the seconds that `ADDED` more decisions take, one by one and 64 in flight."""
    after_ms = _START_MS + size + turn * ADDED
    proposals = [[Proposal(each)] for each in islice(_decisions(after_ms, turn), ADDED)]
    with _open(path) as log:
        return in_flight(log.submit, proposals)


def _opening_s(path: Path) -> float:
    started_s = perf_counter()
    with _open(path):
        return perf_counter() - started_s


def _joined(path: Path, processes: int) -> tuple[float, int]:
    """Return how many decisions a second are joined, and the memory of the first process at most.

    It is what `sendwise ledger` does, in a process that has nothing else to hold; the time to start
    others is counted.
    """
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    context.Process(target=_join, args=(path, processes, there)).start()
    there.close()  # so that nobody waits for one that has failed
    found: tuple[float, int] = here.recv()
    return found


def _join(path: Path, processes: int, found: Connection) -> None:
    opener = partial(_open, path, read_only=True)
    done, most = Event(), [0]
    watch = Thread(target=_watch, args=(done, most), daemon=True)
    with opener() as log:
        watch.start()
        started_s = perf_counter()
        joined = tally(log, _RULE, open_log=opener, processes=processes)
        seconds = perf_counter() - started_s
    done.set()
    watch.join()
    assert joined.reports["rewards_in_time"] == LARGE
    found.send((joined.decisions / seconds, most[0]))


def _watch(done: Event, most: list[int]) -> None:
    while not done.wait(_WATCH_S):
        most[0] = max(most[0], _own_memory_bytes())


def _own_memory_bytes() -> int:
    """Return what this process holds, without pages of files, which the system can take back."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if "RssAnon" in line)
