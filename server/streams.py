"""Takes what waits of a stream, so that a stream is stored in groups as calls are."""

import threading
from collections.abc import Iterator
from queue import Queue
from typing import TypeVar

_T = TypeVar("_T")


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
    threading.Thread(target=_pump, args=(stream, waiting), name="stream", daemon=True).start()
    while True:
        group, end = _take(waiting, size_max)
        if group:
            yield group
        if end is not None:
            if end.error is not None:
                raise end.error
            return


def _pump(stream: Iterator[_T], waiting: "Queue[_T | _End]") -> None:
    try:
        for entry in stream:
            waiting.put(entry)
    except Exception as error:  # noqa: BLE001 - raised again where the groups are taken
        waiting.put(_End(error))
    else:
        waiting.put(_End(None))


def _take(waiting: "Queue[_T | _End]", size_max: int) -> tuple[list[_T], _End | None]:
    """Waits for one entry, then takes all that is there."""
    group: list[_T] = []
    while len(group) < size_max and not (group and waiting.empty()):
        entry = waiting.get()
        if isinstance(entry, _End):
            return group, entry
        group.append(entry)
    return group, None
