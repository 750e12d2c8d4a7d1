"""Reads a table part by part, over processes if it is large, and merges what each one found.

Parts are cut by the table alone and merged in its order, whoever reads them.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar, cast

from replay.processes import pool, workers_for
from replay.sample import Sample
from replay.tables import Part, blaming

OnProgress = Callable[[int, float], None]
"""Called with the rows read so far and the share of the table read, from 0 to 1."""


class Gatherer(Protocol):
    """What is gathered from rows; can be copied and pickled."""

    def add(self, sample: Sample) -> None:
        """Takes in a chunk of rows."""

    def merge(self, other: Self) -> None:
        """Takes in what was gathered from the rows that follow."""


G = TypeVar("G", bound=Gatherer)


def gather(
    parts: Sequence[Part],
    empty: G,
    processes: int | None = None,
    on_progress: OnProgress | None = None,
) -> G:
    """What is in all rows of a table; the same for any number of processes.

    Args:
        parts: The table, as `Table.parts` cuts it.
        empty: What gathers, of no rows yet; it is left as it is.
        processes: At most so many; one a core if None. Small tables are read by this one alone.
        on_progress: Called after each chunk, or each part if others read.

    Raises:
        TableError: A file is unreadable, or a row breaks a rule: of several, the first.
    """
    whole = _Whole(copy.deepcopy(empty), on_progress or (lambda _rows, _share: None))
    workers = workers_for(len(parts), processes)
    if workers < 2:  # noqa: PLR2004 - one process is this one
        for part in parts:
            whole.read(part)
        return whole.found
    with pool(workers, _Worker.prepare, empty) as helpers:
        for part, done in zip(parts, helpers.map(_read_there, parts), strict=True):
            if done is None:
                # Errors do not travel well between processes: it is raised again here.
                whole.read(part)
                continue
            whole.merge(part, cast("_Done[G]", done))
    return whole.found


@dataclass(slots=True)
class _Done(Generic[G]):
    """What a worker found in one part."""

    found: G
    rows: int


class _Whole(Generic[G]):
    """What was found so far."""

    def __init__(self, found: G, on_progress: OnProgress) -> None:
        self.found = found
        self.rows = 0
        self._on_progress = on_progress

    def read(self, part: Part) -> None:
        """Takes in a part, chunk by chunk."""
        for chunk in part.chunks():
            with blaming(chunk.path):
                self.found.add(chunk.sample)
            self._advance(len(chunk.sample), chunk.share)

    def merge(self, part: Part, done: _Done[G]) -> None:
        """Takes in a part that another process has read."""
        self.found.merge(done.found)
        self._advance(done.rows, part.end)

    def _advance(self, rows: int, share: float) -> None:
        self.rows += rows
        self._on_progress(self.rows, share)


class _Worker:
    """What a worker process gathers with."""

    empty: Any

    @classmethod
    def prepare(cls, empty: Gatherer) -> None:
        """Keeps what gathers."""
        cls.empty = empty


def _read_there(part: Part) -> _Done[Any] | None:
    """What is in a part; None where reading it raises an error."""
    whole = _Whole(copy.deepcopy(_Worker.empty), lambda _rows, _share: None)
    try:
        whole.read(part)
    except Exception:  # noqa: BLE001 - the first process meets it again, and raises it
        return None
    return _Done(whole.found, whole.rows)
