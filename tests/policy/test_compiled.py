"""Compiling takes long, so it is said; code that was kept is taken without a word."""

import subprocess
import sys

HEAD = """
import logging
from numba.core import event
from policy.compiled import compiled

logging.basicConfig(level=logging.INFO, format="%(message)s")
"""
TWO_FUNCTIONS = """
with event.trigger_event("numba:compile"), event.trigger_event("numba:compile"):
    pass
"""


def said(program: str) -> list[str]:
    """What a process says while it runs a program."""
    command = [sys.executable, "-c", HEAD + program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()


def test_compiling_is_said_once() -> None:
    """Whoever waits learns why, and not again for every function."""
    (line,) = said(TWO_FUNCTIONS)
    assert line.startswith("compiling for this processor")
    assert line.endswith("once")


def test_nothing_is_said_where_nothing_is_compiled() -> None:
    """Loading the module compiles nothing."""
    assert said("") == []
