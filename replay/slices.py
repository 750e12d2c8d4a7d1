"""Reads a log stretch by stretch, over processes if need be, and merges what each one found.

Stretches are cut by their number of decisions and merged in the order of the log, whoever reads
them: the result is the same, to the last bit, for any number of processes.
"""

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar, cast

from replay.join import Joined
from replay.processes import STRETCH, workers_for
from replay.processes import pool as process_pool
from replay.source import Address, Source

OnProgress = Callable[[int], None]
Stretch = tuple[bytes, bytes | None]


class Reading(Protocol):
    """What was found in some decisions; can be pickled."""

    def merge(self, other: Self) -> None:
        """Takes in what was found in the decisions that follow."""


Found = TypeVar("Found", bound=Reading)
Made_co = TypeVar("Made_co", bound=Reading, covariant=True)
Read = Callable[[Iterable[Joined]], Found]
"""Reads one stretch."""


class Plan(Protocol[Made_co]):
    """What is to be found in a log; can be pickled."""

    def prepare(self, source: Source) -> Callable[[Iterable[Joined]], Made_co]:
        """Loads what reading needs, once a process."""


def read_log(
    source: Source,
    plan: Plan[Found],
    processes: int | None = None,
    on_progress: OnProgress | None = None,
) -> Found:
    """Reads all of a source once.

    Args:
        source: where to read.
        plan: what to find.
        processes: the most to use; None: one a core. Small logs are read in this process.
        on_progress: called with the decisions read since the last call.
    """
    stretches = source.stretches(STRETCH)
    advance = on_progress or (lambda _: None)
    read = plan.prepare(source)
    found = read(())
    workers = workers_for(len(stretches), processes)
    address = source.address
    if workers < 2 or address is None:  # noqa: PLR2004 - one process is this one
        for stretch in stretches:
            found.merge(_read_here(source, read, stretch, advance))
        return found
    with process_pool(workers, _open_worker, address, plan) as pool:
        for stretch, part in zip(stretches, pool.map(_read_there, stretches), strict=True):
            if part is None:
                # Errors do not travel well between processes: it is raised again here.
                found.merge(_read_here(source, read, stretch, advance))
                continue
            found.merge(cast("Found", part.found))
            source.damaged.update(part.damaged)
            advance(part.decisions)
    return found


@dataclass(slots=True)
class _Part(Generic[Found]):
    """What a worker found in one stretch."""

    found: Found
    decisions: int
    damaged: frozenset[bytes]


def _read_here(source: Source, read: Read[Found], stretch: Stretch, advance: OnProgress) -> Found:
    with _no_collection():
        return read(_counted(source.outcomes(*stretch), advance))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Puts off the search for garbage in cycles, of which records have none.

    Among the objects of thousands of records it takes more than a quarter of all time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _counted(joined: Iterable[Joined], advance: OnProgress) -> Iterator[Joined]:
    for one in joined:
        yield one
        advance(1)


class _Worker:
    """What a worker process holds open until it ends."""

    source: Source
    read: Read[Any]
    held = ExitStack()


def _open_worker(address: Address, plan: Plan[Any]) -> None:
    _Worker.source = _Worker.held.enter_context(address.opened())
    _Worker.read = plan.prepare(_Worker.source)


def _read_there(stretch: Stretch) -> _Part[Any] | None:
    """What is in a stretch; None where reading it raises an error."""
    decisions = 0

    def count(read: int) -> None:
        nonlocal decisions
        decisions += read

    try:
        found = _read_here(_Worker.source, _Worker.read, stretch, count)
    except Exception:  # noqa: BLE001 - the first process meets it again, and raises it
        return None
    return _Part(found, decisions, frozenset(_Worker.source.damaged))
