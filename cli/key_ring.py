"""The key ring of encrypted logs: one option before every command, or a file beside the data."""

from contextvars import ContextVar
from functools import partial
from pathlib import Path

from decisionlog import RingSource, ring_file
from decisionlog.key_ring import load_ring

_named: ContextVar[Path | None] = ContextVar("key_ring", default=None)


def name_ring(path: Path | None) -> None:
    """Names the file for the rest of the process; None: the one beside the data directory."""
    _named.set(path)


def ring_path(data_dir: Path) -> Path:
    """The key ring's file, be it there or not."""
    return _named.get() or data_dir.with_name(f"{data_dir.name}.ring")


def ring_source(data_dir: Path) -> RingSource:
    """Gives the key ring, in whatever process it is asked; one that was named must be there."""
    path = ring_path(data_dir)
    if _named.get() is None:
        return ring_file(path, data_directory=data_dir)
    return partial(load_ring, path, data_directory=data_dir)
