"""One worker as its supervisor sees it: a child process at the end of two pipes."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence

from server.lifeline import READY
from server.settings import WorkerSettings

PIECE_BYTES_MAX = 64 * 1024


class WorkerProcess:
    """A running or ended worker."""

    def __init__(
        self,
        command: Sequence[str],
        settings: WorkerSettings,
        *,
        core: int | None,
        lock_fd: int,
        started_at: float,
    ) -> None:
        """Starts the process and hands it its settings.

        Args:
            command: Program and arguments.
            settings: Goes to the worker as the first line of its standard input.
            core: The core to pin it to, if any.
            lock_fd: The descriptor that holds the data directory; the worker inherits it.
            started_at: Now, by the supervisor's clock.
        """
        self.index = settings.index
        self.started_at = started_at
        self.is_ready = False
        self._unread = b""
        # A group of its own, so that Ctrl-C in a terminal reaches the supervisor alone.
        self._process = subprocess.Popen(  # noqa: S603 - the command is ours
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=(lock_fd,),
            process_group=0,
        )
        self._pin(core)
        self._tell(settings.to_json() + b"\n")

    def _pin(self, core: int | None) -> None:
        """Threads inherit their core, and the new process has not made any yet."""
        if core is not None:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(self.pid, {core})

    def _tell(self, line: bytes) -> None:
        """A worker that died at once is noticed by its end, not by its pipe."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def fileno(self) -> int:
        """Descriptor of the worker's standard output."""
        assert self._process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        return self._process.stdout.fileno()

    def read_lines(self) -> list[bytes] | None:
        """The lines that the worker has written since; None at their end.

        The line `ready` is taken out of them and sets `is_ready`.
        """
        piece = os.read(self.fileno(), PIECE_BYTES_MAX)
        if not piece:
            return None
        *lines, self._unread = (self._unread + piece)[-PIECE_BYTES_MAX:].split(b"\n")
        self.is_ready = self.is_ready or READY in lines
        return [line for line in lines if line != READY]

    def exit_code(self) -> int | None:
        """None while it runs; minus the number of the signal that ended it, if one did."""
        return self._process.poll()

    def ending(self) -> str:
        """How it ended, in words."""
        code = self._process.returncode
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def stop(self) -> None:
        """Asks it to finish its calls and end."""
        self._process.terminate()

    def kill(self) -> None:
        """Ends it at once and waits for its end."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Closes the pipes of a worker that has ended."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
