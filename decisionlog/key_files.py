"""Files of secrets: readable by their owner alone, outside the data, whole or not there at all."""

import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from decisionlog.directories import UNFINISHED, sync
from decisionlog.errors import KeyFileError
from decisionlog.owners import give_as

SECRET_BYTES: Final = 32
SECRETS_MAX: Final = 64
"""The most secrets that one file may hold."""

_MAX_FILE_BYTES: Final = SECRETS_MAX * (2 * SECRET_BYTES + 2)
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def check_outside(path: Path, data_directory: Path) -> None:
    """Check that a file of secrets lies outside the data: a copy of these would carry it along.

    Raises:
        KeyFileError: It lies inside.
    """
    if path.resolve().is_relative_to(data_directory.resolve()):
        raise KeyFileError(path, f"keep it outside the data directory {data_directory}")


def read_secrets(path: Path) -> list[bytes]:
    """Return the secrets of a file, in its order.

    Args:
        path: A file of 64 hexadecimal digits a line that only its owner can read.

    Raises:
        KeyFileError: It is missing, malformed, or open to others.
    """
    lines = _read(path).split()
    return [_secret(path, line) for line in lines]


def create(path: Path, secrets: Sequence[bytes]) -> None:
    """Make a file, whole or not at all; one that another process made first stays.

    Raises:
        KeyFileError: It cannot be made.
    """
    try:
        with _locked(path), _written(path, secrets) as temporary:
            path.hardlink_to(temporary)
        sync(path.parent)
    except FileExistsError:
        return
    except OSError as error:
        raise KeyFileError(path, f"it cannot be made: {error.strerror}") from error


def append(path: Path, secret: bytes) -> None:
    """Add a secret behind those of a file; the file is made if there is none.

    The file is replaced as a whole, so that a crash loses none of it, and one process at a time
    does so: a secret that another one adds meanwhile stays. It keeps its owner, also where the
    superuser does this, and a link to it stays one.

    Raises:
        KeyFileError: It cannot be read or written.
    """
    path = path.resolve()
    try:
        with _locked(path):
            secrets = [*(read_secrets(path) if path.exists() else []), secret]
            if len(secrets) > SECRETS_MAX:
                raise KeyFileError(path, f"it holds {SECRETS_MAX} keys already; remove old ones")
            with _written(path, secrets) as temporary:
                _linked(temporary).replace(path)
            sync(path.parent)
    except OSError as error:
        raise KeyFileError(path, f"it cannot be written: {error.strerror}") from error


def discard_unfinished(path: Path) -> None:
    """Remove what a process that was killed while it wrote a file has left of it.

    Raises:
        KeyFileError: It cannot be removed.
    """
    try:
        with _locked(path.resolve()):
            pass
    except OSError as error:
        raise KeyFileError(path, f"its directory cannot be used: {error.strerror}") from error


@contextmanager
def _written(path: Path, secrets: Sequence[bytes]) -> Iterator[Path]:
    """Yield a temporary file beside; it is readable by its owner alone from the start."""
    with NamedTemporaryFile("wb", dir=path.parent, prefix=_prefix(path)) as file:
        file.writelines(secret.hex().encode() + b"\n" for secret in secrets)
        give_as(file.fileno(), path if path.exists() else path.parent)
        file.flush()
        os.fsync(file.fileno())
        yield Path(file.name)


def _linked(temporary: Path) -> Path:
    """Return another name of a file that is deleted under its first one."""
    other = temporary.with_name(f"{temporary.name}.new")
    other.hardlink_to(temporary)
    return other


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Be the only one to write into the directory of a file, without what a kill left there."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for left in path.parent.iterdir():
            if left.name.startswith(_prefix(path)):
                left.unlink()
        yield
    finally:
        os.close(descriptor)


def _prefix(path: Path) -> str:
    return f".{path.name}{UNFINISHED}"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise KeyFileError(path, "it is not a file")
            if mode & _OTHERS:
                raise KeyFileError(path, "others can read or change it; run chmod 600 on it")
            return file.read(_MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise KeyFileError(path, "it is missing; restore it, or make one for a new log") from error
    except OSError as error:
        raise KeyFileError(path, f"it cannot be read: {error.strerror}") from error


def _secret(path: Path, line: bytes) -> bytes:
    try:
        secret = bytes.fromhex(line.decode("ascii"))
    except ValueError:
        secret = b""  # the cause is not chained: it would show parts of the content
    if len(secret) != SECRET_BYTES:
        raise malformed(path)
    return secret


def malformed(path: Path) -> KeyFileError:
    """Return the error of a file that holds something else."""
    return KeyFileError(path, f"it must hold {2 * SECRET_BYTES} hexadecimal digits")
