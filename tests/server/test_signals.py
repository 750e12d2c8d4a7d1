"""Signals that are read instead of handled."""

import os
import signal

from server.signals import SignalReader


def test_signals_are_read_once() -> None:
    """Each in the read after it came, whatever their number."""
    with SignalReader(signal.SIGUSR1, signal.SIGUSR2) as reader:
        assert reader.take() == set()
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR2)
        assert reader.take() == {signal.SIGUSR1, signal.SIGUSR2}
        assert reader.take() == set()


def test_handlers_are_put_back() -> None:
    """Whoever comes after finds the signals as they were."""

    def handler(_number: int, _frame: object) -> None:
        """Stands for any."""

    earlier = signal.signal(signal.SIGUSR1, handler)
    with SignalReader(signal.SIGUSR1):
        assert signal.getsignal(signal.SIGUSR1) is not handler
    assert signal.signal(signal.SIGUSR1, earlier) is handler
