"""Signals as bytes that a selector can wait for, so that nothing runs in a handler."""

import signal
import socket
from types import FrameType, TracebackType
from typing import Self

SIGNALS_BYTES_MAX = 4096


def _wake(_number: int, _frame: FrameType | None) -> None:
    """Does nothing: that a handler exists makes Python write to the wake-up descriptor."""


class SignalReader:
    """Collects the given signals from entry to exit; for the main thread alone."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self._numbers = numbers
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def __enter__(self) -> Self:
        self._earlier_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._earlier = {number: signal.signal(number, _wake) for number in self._numbers}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._earlier_fd)
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        """The descriptor that becomes readable when a signal has come."""
        return self._reader.fileno()

    def take(self) -> set[int]:
        """The numbers of the signals that have come since the last call."""
        try:
            return set(self._reader.recv(SIGNALS_BYTES_MAX))
        except BlockingIOError:
            return set()
