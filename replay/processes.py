"""Processes that read parts of a log or of a table beside each other."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

STRETCH = 4096
"""Decisions of a part: a second's work, so that progress moves and no process waits long."""
STRETCHES_A_PROCESS = 4
"""Another process needs about two seconds to begin; it has to have so many parts to pay."""

_Handler = Any
"""What the standard library takes and gives as a signal's handler; it has no name for the type."""


def workers_for(stretches: int, processes: int | None) -> int:
    """How many processes read so many parts; below 2, this one does it alone.

    Args:
        stretches: parts to read.
        processes: the most to use; None: one a core.
    """
    return min(processes or os.cpu_count() or 1, stretches // STRETCHES_A_PROCESS)


@contextmanager
def pool(
    workers: int,
    prepare: Callable[..., None],
    *arguments: Any,  # noqa: ANN401 - of `prepare`
) -> Iterator[ProcessPoolExecutor]:
    """Processes that have prepared themselves; not forked: LMDB and threads do not bear it."""
    found = ProcessPoolExecutor(workers, get_context("spawn"), prepare, arguments)
    try:
        with _without_interrupts():
            for _ in range(workers):  # each starts another one, as long as none is idle
                found.submit(int)
        yield found
    finally:
        found.shutdown(cancel_futures=True)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Holds Ctrl-C back; in processes that are started meanwhile for good.

    It goes to every process of the terminal, and the first one tells the others to stop: they must
    not meet it by themselves, not even before they have begun. The first one must not meet it while
    it starts them, or some would be left over.
    """
    met: list[int] = []
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    handler = _handle(lambda number, _frame: met.append(number))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _handle(handler)
    if met:
        raise KeyboardInterrupt


def _handle(handler: _Handler) -> _Handler:
    """Sets what Ctrl-C does, and returns what it did; threads but the first do not get to say."""
    if handler is None or threading.current_thread() is not threading.main_thread():
        return None
    return signal.signal(signal.SIGINT, handler)
