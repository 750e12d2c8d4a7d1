"""Takes what waits of a stream, so that it is stored in groups as calls are; bounds the streams."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, Queue
from typing import TypeVar

from server.refusals import TooManyStreamsError

_T = TypeVar("_T")


class StreamSlots:
    """Places for the open streams of a worker."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._free = threading.BoundedSemaphore(maximum)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds a place while the block runs.

        Raises:
            TooManyStreamsError: if all are taken; nobody waits, since waiting holds a thread too.
        """
        if not self._free.acquire(blocking=False):
            raise TooManyStreamsError(self._maximum)
        try:
            yield
        finally:
            self._free.release()


class _End:
    """The end of a stream, and the error that ended it, if one did."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error


def groups(stream: Iterator[_T], size_max: int) -> Iterator[list[_T]]:
    """Yields the stream in order, in groups of what has come while the last one was handled.

    Args:
        stream: read by a thread of its own, at most two groups ahead.
        size_max: the most entries of a group.

    Raises:
        Exception: what the stream raises, after everything that came before.
    """
    waiting: Queue[_T | _End] = Queue(maxsize=size_max)
    left = threading.Event()
    pump = threading.Thread(target=_pump, args=(stream, waiting, left), name="stream", daemon=True)
    pump.start()
    try:
        yield from _groups(waiting, size_max)
    finally:
        left.set()
        _empty(waiting)


def _groups(waiting: "Queue[_T | _End]", size_max: int) -> Iterator[list[_T]]:
    while True:
        group, end = _take(waiting, size_max)
        if group:
            yield group
        if end is not None:
            if end.error is not None:
                raise end.error
            return


def _pump(stream: Iterator[_T], waiting: "Queue[_T | _End]", left: threading.Event) -> None:
    """Reads the stream, until nobody takes it any more."""
    try:
        for entry in stream:
            if left.is_set():
                return
            waiting.put(entry)
    except Exception as error:  # noqa: BLE001 - raised again where the groups are taken
        waiting.put(_End(error))
    else:
        waiting.put(_End(None))


def _empty(waiting: "Queue[_T | _End]") -> None:
    """Lets a reader go that waits for room; it finds out then that nobody takes any more."""
    with suppress(Empty):
        while True:
            waiting.get_nowait()


def _take(waiting: "Queue[_T | _End]", size_max: int) -> tuple[list[_T], _End | None]:
    """Waits for one entry, then takes all that is there."""
    group: list[_T] = []
    while len(group) < size_max and not (group and waiting.empty()):
        entry = waiting.get()
        if isinstance(entry, _End):
            return group, entry
        group.append(entry)
    return group, None
