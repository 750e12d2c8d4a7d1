"""The worker's end of the two pipes to its supervisor: settings in, `ready` out, EOF means stop."""

import os
import selectors
import signal
from types import TracebackType
from typing import Self

from server.serve_errors import LifelineError
from server.settings import WorkerSettings
from server.signals import SignalReader

READY = b"ready"
LINE_BYTES_MAX = 64 * 1024


class Lifeline:
    """Ties a worker's life to its supervisor's.

    Standard input stays open for as long as the supervisor lives. Its end tells the worker to stop
    even where the supervisor could not say so, because it was killed. SIGTERM says the same. From
    entry on SIGTERM no longer kills: a worker that is still starting stops in order, too.
    """

    def __init__(self, stdin_fd: int = 0, stdout_fd: int = 1) -> None:
        self._stdin_fd = stdin_fd
        self._stdout_fd = stdout_fd
        self._signals = SignalReader(signal.SIGTERM)

    def __enter__(self) -> Self:
        self._signals.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._signals.__exit__(kind, error, trace)

    def settings(self) -> WorkerSettings:
        """Reads the settings from the first line; call once, first.

        Raises:
            LifelineError: if no line came, or one that is too long.
            InvalidSettingError: if the line does not hold settings.
        """
        line = b""
        while not line.endswith(b"\n"):
            piece = os.read(self._stdin_fd, LINE_BYTES_MAX)
            line += piece
            if not piece:
                raise LifelineError("standard input ended before the line of settings")
            if len(line) > LINE_BYTES_MAX:
                raise LifelineError(f"the line of settings exceeds {LINE_BYTES_MAX} bytes")
        return WorkerSettings.from_json(line)

    def ready(self) -> None:
        """Tells the supervisor that the worker answers calls."""
        os.write(self._stdout_fd, READY + b"\n")

    def wait_for_stop(self) -> None:
        """Returns when the worker is to stop: on SIGTERM or when the supervisor is gone."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._signals, selectors.EVENT_READ)
            selector.register(self._stdin_fd, selectors.EVENT_READ)
            while not any(self._means_stop(key.fd) for key, _ in selector.select()):
                pass

    def _means_stop(self, fd: int) -> bool:
        """Whether what can be read is a signal to stop or the end of standard input."""
        if fd == self._stdin_fd:
            return not os.read(fd, LINE_BYTES_MAX)
        return signal.SIGTERM in self._signals.take()
