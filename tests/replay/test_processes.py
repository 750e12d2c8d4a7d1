"""Processes that read beside each other begin together, out of reach of Ctrl-C."""

import gc
import multiprocessing
import signal

from replay.processes import pool

WORKERS = 3


def test_all_processes_begin_before_there_is_work() -> None:
    """None starts later, when Ctrl-C is no longer held back, and none of them meets it."""
    with pool(WORKERS, gc.enable) as helpers:
        assert len(multiprocessing.active_children()) == WORKERS
        held_back = helpers.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ()).result()
    assert signal.SIGINT in held_back
