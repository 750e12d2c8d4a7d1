"""The worker's end of its pipes."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from server.lifeline import LINE_BYTES_MAX, Lifeline
from server.serve_errors import InvalidSettingError, LifelineError
from server.settings import ServeSettings, WorkerSettings

SETTINGS = WorkerSettings.of(
    ServeSettings.create(data_dir=Path("data"), key_file=Path("key")), index=3, port=1234
)


class Supervisor:
    """The other end of a lifeline's pipes."""

    def __init__(self, lifeline: Lifeline, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self.lifeline = lifeline
        self.stdin = stdin
        self.stdout = stdout

    def tell(self, *pieces: bytes) -> None:
        """Writes while the worker reads, as two processes would."""
        threading.Thread(target=self.stdin.writelines, args=[pieces], daemon=True).start()


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    """Two pipes with a lifeline at one end."""
    worker_in, stdin = os.pipe()
    stdout, worker_out = os.pipe()
    with (
        os.fdopen(worker_in, "rb", 0),
        os.fdopen(worker_out, "wb", 0),
        os.fdopen(stdin, "wb", 0) as writer,
        os.fdopen(stdout, "rb", 0) as reader,
        Lifeline(worker_in, worker_out) as lifeline,
    ):
        yield Supervisor(lifeline, writer, reader)


def test_settings_come_on_the_first_line(supervisor: Supervisor) -> None:
    """Also when the pipe hands them over in pieces."""
    line = SETTINGS.to_json() + b"\n"
    supervisor.tell(line[:10], line[10:])
    assert supervisor.lifeline.settings() == SETTINGS


def test_a_line_that_is_too_long_is_refused(supervisor: Supervisor) -> None:
    """Nothing is read without a limit."""
    supervisor.tell(b"x" * LINE_BYTES_MAX, b"x\n")
    with pytest.raises(LifelineError, match="exceeds"):
        supervisor.lifeline.settings()


def test_a_line_without_settings_is_refused(supervisor: Supervisor) -> None:
    """A supervisor of another version is met with a word, not with a traceback."""
    supervisor.tell(b'{"speed": 9}\n')
    with pytest.raises(InvalidSettingError):
        supervisor.lifeline.settings()


def test_a_worker_started_by_hand_is_refused(supervisor: Supervisor) -> None:
    """Without a supervisor there is no line of settings."""
    supervisor.stdin.close()
    with pytest.raises(LifelineError, match="sendwise serve"):
        supervisor.lifeline.settings()


def test_ready_is_a_line(supervisor: Supervisor) -> None:
    """The supervisor reads lines."""
    supervisor.lifeline.ready()
    assert supervisor.stdout.read(100) == b"ready\n"


def test_the_end_of_standard_input_means_stop(supervisor: Supervisor) -> None:
    """And nothing that is written there before does."""
    supervisor.stdin.write(b"noise\n")
    supervisor.stdin.close()
    supervisor.lifeline.wait_for_stop()


def test_a_signal_before_the_wait_is_not_lost(supervisor: Supervisor) -> None:
    """A worker that is told to stop while it starts stops when it has started."""
    signal.raise_signal(signal.SIGTERM)
    supervisor.lifeline.wait_for_stop()
