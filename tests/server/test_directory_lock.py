"""The lock that keeps a second server off a data directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from server.directory_lock import LOCK_NAME, POLL_SECONDS, locked
from server.serve_errors import AlreadyServingError, DataDirectoryError


def pid_that_ended() -> int:
    """Number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_directory_is_made(tmp_path: Path) -> None:
    """A first start needs no preparation."""
    with locked(tmp_path / "new" / "data"):
        assert (tmp_path / "new" / "data" / LOCK_NAME).read_text() == f"{os.getpid()}\n"


def test_a_second_holder_is_refused_with_the_first_ones_pid(tmp_path: Path) -> None:
    """Patience is not spent on a server that runs."""

    def sleep(_seconds: float) -> None:
        pytest.fail("waited for a living server")

    with locked(tmp_path):
        with (
            pytest.raises(AlreadyServingError) as refusal,
            locked(tmp_path, patience_seconds=60.0, sleep=sleep),
        ):
            pass
        assert refusal.value.pid == os.getpid()
        assert refusal.value.data_dir == tmp_path


def test_it_can_be_had_again_when_it_was_given_up(tmp_path: Path) -> None:
    """The file stays; the lock does not."""
    with locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_what_a_killed_server_left_is_waited_for_so_long(tmp_path: Path) -> None:
    """The patience is spent in short sleeps, then the refusal comes all the same."""
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    with locked(tmp_path):
        (tmp_path / LOCK_NAME).write_text(f"{pid_that_ended()}\n")
        with (
            pytest.raises(AlreadyServingError),
            locked(tmp_path, patience_seconds=1.0, clock=lambda: now, sleep=sleep),
        ):
            pass
    assert 1.0 <= now <= 1.0 + 2 * POLL_SECONDS


def test_an_unreadable_pid_is_not_named(tmp_path: Path) -> None:
    """The moment between the lock and the pid is short, but it is there."""
    with locked(tmp_path):
        (tmp_path / LOCK_NAME).write_text("")
        with (
            pytest.raises(AlreadyServingError, match="another process") as refusal,
            locked(tmp_path),
        ):
            pass
    assert refusal.value.pid is None


def test_a_place_that_cannot_be_a_directory_is_refused(tmp_path: Path) -> None:
    """The error names the place and the reason."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DataDirectoryError, match="choose a directory") as refusal,
        locked(tmp_path / "file" / "data"),
    ):
        pass
    assert refusal.value.problem == "Not a directory"
