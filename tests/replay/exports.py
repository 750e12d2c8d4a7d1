"""What tests of exported tables share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from decisionlog import retention
from decisionlog.ids import to_text
from tests.replay.history import History, history
from tests.replay.worlds import WORLD, live
from tests.shop import DAY_MS, START_MS

DAYS_LIVED = 3
EACH_DAY = 40


@contextmanager
def three_days(directory: Path) -> Iterator[History]:
    """A log of three days."""
    with history(directory, WORLD) as past:
        for day in range(DAYS_LIVED):
            past.clock.now_ms = START_MS + day * DAY_MS
            live(past, EACH_DAY)
        yield past


def rows(directory: Path, table: str) -> list[dict[str, Any]]:
    """Return all rows of a table, day by day."""
    paths = sorted((directory / table).rglob("*.parquet"))
    return [row for path in paths for row in pq.read_table(path, partitioning=None).to_pylist()]


def expire_until(past: History, bound: bytes) -> None:
    """Let decisions before an id expire."""
    while retention.expire(past.log.store, bound) is not None:
        pass


def ids_of(past: History) -> list[str]:
    """Return the decisions that are in the log, as tables name them."""
    return [to_text(one.decision.decision_id) for one in past.log.scan()]
