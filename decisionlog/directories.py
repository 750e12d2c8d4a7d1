"""Directories that appear whole or not at all, and files that are copied with their hashes."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO, Final, TypedDict

from decisionlog.errors import DirectoryTaken

_CHUNK_BYTES: Final = 2**20
_DIRECTORY_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
UNFINISHED: Final = ".unfinished-"
"""In the name of what is being written."""
_LAST: Final = {"log": 1, "backup.json": 2}
"""What makes a directory one of data, or a backup, comes after all else."""


class FileFacts(TypedDict):
    """What is known of a file."""

    bytes: int
    sha256: str
    """In hex."""


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Yield a directory to fill beside a target, whose place it takes at the end.

    If anything is raised within, nothing is left of it, and the target is as it was. What a process
    that was killed has left in the same place, for whatever target, is removed.

    A mount point, and a directory whose parent is not ours, cannot be replaced: what is to be in
    them is made inside, and moved to its names at the end, what gives it its meaning last.

    Raises:
        DirectoryTaken: The target has something in it.
    """
    target = target.resolve()
    is_fixed = _is_fixed(target)
    if not _is_free(target, is_fixed):
        raise DirectoryTaken(target)
    place = target if is_fixed else target.parent
    place.mkdir(parents=True, exist_ok=True)
    _remove_left(place)
    scratch = Path(tempfile.mkdtemp(dir=place, prefix=f".{target.name}{UNFINISHED}"))
    try:
        with _held(scratch):
            yield scratch
            _put(scratch, target, is_fixed)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    sync(place)


def _is_fixed(target: Path) -> bool:
    """Tell whether a directory must stay where it is."""
    return target.is_dir() and (os.path.ismount(target) or not os.access(target.parent, os.W_OK))


def _is_free(target: Path, is_fixed: bool) -> bool:  # noqa: FBT001 - from `_is_fixed`
    if not target.exists():
        return True
    if not target.is_dir():
        return False
    names = [path.name for path in target.iterdir()]
    return all(is_fixed and _is_nothing(name) for name in names)


def _is_nothing(name: str) -> bool:
    """Tell whether a file system makes this itself, or a kill left it."""
    return name == "lost+found" or (name.startswith(".") and UNFINISHED in name)


def _put(scratch: Path, target: Path, is_fixed: bool) -> None:  # noqa: FBT001 - from `_is_fixed`
    if not is_fixed:
        scratch.replace(target)
        return
    for path in sorted(scratch.iterdir(), key=lambda path: _LAST.get(path.name, 0)):
        path.replace(target / path.name)
    scratch.rmdir()


def _remove_left(place: Path) -> None:
    for left in place.glob(f".*{UNFINISHED}*"):
        with suppress(OSError), _held(left) as is_mine:  # another user's is not ours to remove
            if is_mine:  # whoever fills one holds it
                shutil.rmtree(left, ignore_errors=True)


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
    target.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    return os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE), "wb")


def sync_all(directory: Path) -> None:
    """Let every file and directory below one survive a power cut."""
    for path in sorted(directory.rglob("*")):
        sync(path)
    sync(directory)


def sync(path: Path) -> None:
    """Let a file, or the names in a directory, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
