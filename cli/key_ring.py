"""The key ring of encrypted logs: one option before every command, or a file beside the data."""

from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from decisionlog import RingSource, ring_file
from decisionlog.key_ring import load_ring

_named: ContextVar[Path | None] = ContextVar("key_ring", default=None)


def common_options(
    key_ring: Annotated[
        Path | None,
        typer.Option(
            envvar="SENDWISE_KEY_RING",
            help="File of the keys of an encrypted log; beside the data directory if not given.",
            show_envvar=True,
            show_default="DATA.ring",
        ),
    ] = None,
) -> None:
    """Take what every command understands."""
    _named.set(key_ring)


def ring_path(data_dir: Path) -> Path:
    """The key ring's file, be it there or not."""
    return _named.get() or data_dir.with_name(f"{data_dir.name}.ring")


def ring_source(data_dir: Path) -> RingSource:
    """Gives the key ring, in whatever process it is asked; one that was named must be there."""
    path = ring_path(data_dir)
    if _named.get() is None:
        return ring_file(path, data_directory=data_dir)
    return partial(load_ring, path, data_directory=data_dir)
