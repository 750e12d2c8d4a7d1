"""One server a data directory: an advisory lock that the kernel releases with its last holder."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from server.serve_errors import AlreadyServingError, DataDirectoryError

LOCK_NAME = "server.lock"
POLL_SECONDS = 0.05
PID_BYTES_MAX = 20


@contextlib.contextmanager
def locked(
    data_dir: Path,
    *,
    patience_seconds: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[int]:
    """Holds `data_dir` for this server; makes the directory if it is missing.

    The workers inherit the descriptor, so that the directory is free only when all of them have
    gone. If a server was killed, its workers need a moment to notice: they are waited for.

    Args:
        data_dir: The directory.
        patience_seconds: How long to wait for what a killed server left; a living one is refused
            at once.
        clock: Seconds, monotonic.
        sleep: Waits for some seconds.

    Yields:
        The descriptor to hand on to the workers.

    Raises:
        AlreadyServingError: if another server holds the directory; it has the other's pid.
        DataDirectoryError: if the directory cannot be made or written.
    """
    descriptor = _open(data_dir)
    try:
        deadline = clock() + patience_seconds
        while not _try_lock(descriptor):
            pid = _read_pid(descriptor)
            if _is_alive(pid) or clock() >= deadline:
                raise AlreadyServingError(data_dir, pid)
            sleep(POLL_SECONDS)
        _write_pid(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def _open(data_dir: Path) -> int:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        return os.open(data_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise DataDirectoryError(data_dir, error.strerror or str(error)) from None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_pid(descriptor: int) -> int | None:
    """The holder's pid; None for the moment in which it has locked but not yet written."""
    text = os.pread(descriptor, PID_BYTES_MAX, 0)
    return int(text) if text.strip().isdigit() else None


def _write_pid(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)


def _is_alive(pid: int | None) -> bool:
    """Whether the process runs, be it ours to signal or not; an unknown one counts as alive."""
    if pid is None:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
