"""How fast a chain is evaluated on a log that it did not make: decoding, joining, three stages."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from benchmarks.choice import catalog_text, taught
from benchmarks.training import LATER_MS, log_of
from decisionlog import DecisionLog
from policy.registry import Registry, Training
from replay.log_plan import EvaluationPlan
from replay.slices import read_log
from replay.source import Source

DECISIONS: Final = 40_000
REPETITIONS: Final = 3
PROCESSES: Final = (1, 2)
_NOW: Final = datetime(2027, 1, 15, tzinfo=UTC)


def run() -> dict[str, float]:
    """Decisions a second at 20 x 4 x 24 with ten features, by number of processes; medians.

    One process reads and scores in this one; others take some seconds to begin, which a long log
    does not notice: their rate is that of the second half of the work.

    Returns:
        Rates, and the ratio of two processes to one.
    """
    with TemporaryDirectory() as scratch, _source(Path(scratch)) as (source, version):
        plan = EvaluationPlan((version,), ("snips",))
        read_log(source, plan, 1)  # compiles
        rates = {
            count: median(_rate(source, plan, count) for _ in range(REPETITIONS))
            for count in PROCESSES
        }
    return {
        **{f"rescored_per_s_{count}_processes": rate for count, rate in rates.items()},
        "ratio_of_two_processes_to_one": rates[2] / rates[1],
    }


def _rate(source: Source, plan: EvaluationPlan, processes: int) -> float:
    """Decisions a second, from when half of them are read."""
    done, half = 0, 0.0

    def told(count: int) -> None:
        nonlocal done, half
        done += count
        if not half and done >= DECISIONS / 2:
            half, done = perf_counter(), 0

    read_log(source, plan, processes, told)
    return done / (perf_counter() - half)


@contextmanager
def _source(scratch: Path) -> Iterator[tuple[Source, str]]:
    """A log of a uniform policy, and a chain that has learned from other decisions."""
    registry = Registry(scratch)
    content = registry.add_catalog(catalog_text(20, 4, 24))
    with closing(taught(content)) as student:
        training = Training(catalog=content.version, until="", held_out_share=0.0, caution=1.0)
        version = registry.register(student, training, _NOW).version
    log_of(scratch, content, DECISIONS).close()
    open_log = partial(DecisionLog.open, scratch, keys=None, read_only=True)
    with open_log() as log:
        yield Source(log, registry, content, LATER_MS, open_log=open_log), version
