"""Processes that read parts of a log or of a table beside each other."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

STRETCH = 4096
"""Decisions of a part: a second's work, so that progress moves and no process waits long."""
STRETCHES_A_PROCESS = 4
"""Another process needs about two seconds to begin; it has to have so many parts to pay."""


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
    context = get_context("spawn")
    found = ProcessPoolExecutor(workers, context, _begin, (prepare, arguments))
    try:
        yield found
    finally:
        found.shutdown(cancel_futures=True)


def _begin(prepare: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    # Ctrl-C goes to every process of the terminal: the first one tells the others to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare(*arguments)
