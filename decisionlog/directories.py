"""Directories that appear whole or not at all, and files that are copied with their hashes."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, Final, TypedDict

from decisionlog.errors import DirectoryTaken

_CHUNK_BYTES: Final = 2**20
_FILE_MODE: Final = 0o600
_UNFINISHED: Final = ".unfinished-"


class FileFacts(TypedDict):
    """What is known of a file."""

    bytes: int
    sha256: str
    """In hex."""


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Yield a directory to fill beside a target, whose place it takes at the end.

    If anything is raised within, nothing is left of it, and the target is as it was. What a process
    that was killed has left beside, for whatever target, is removed.

    Raises:
        DirectoryTaken: The target has something in it.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DirectoryTaken(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".*{_UNFINISHED}*"):
        with _held(left) as is_mine:
            if is_mine:  # whoever fills one holds it
                shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}{_UNFINISHED}"))
    try:
        with _held(scratch):
            yield scratch
            scratch.replace(target)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    _sync(target.parent)


@contextmanager
def _held(directory: Path) -> Iterator[bool]:
    """Lock a directory while the block runs; tell whether nobody else has. A kill unlocks it."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


def copied(
    path: Path, target: Path | None, on_progress: Callable[[int], None] | None = None
) -> FileFacts:
    """Copy a file and return what it was; only look at it if there is no target."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as source, _made(target) if target else nullcontext() as file:
        while chunk := source.read(_CHUNK_BYTES):
            if file is not None:
                file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            if on_progress:
                on_progress(len(chunk))
    return {"bytes": size, "sha256": digest.hexdigest()}


def _made(target: Path) -> BinaryIO:
    target.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE), "wb")


def sync_all(directory: Path) -> None:
    """Let every file and directory below one survive a power cut."""
    for path in sorted(directory.rglob("*")):
        _sync(path)
    _sync(directory)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
