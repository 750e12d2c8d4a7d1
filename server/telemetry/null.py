"""The telemetry of a service that nobody watches: does nothing, and keeps nothing."""

from types import TracebackType
from typing import Self

from server.telemetry.interface import Caller


class NullCall:
    """A call or a step of which nothing is kept; all share one."""

    __slots__ = ()

    def failed(self, status: str) -> None:
        """Does nothing."""

    def note(self, name: str, value: str | float) -> None:
        """Does nothing."""

    def step(self, name: str) -> Self:  # noqa: ARG002 - the interface's
        """Itself, since there is nothing to keep apart."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


NULL_CALL = NullCall()


class NullTelemetry:
    """Listens to nothing."""

    __slots__ = ()

    def call(self, method: str, caller: Caller) -> NullCall:  # noqa: ARG002 - the interface's
        """The call of which nothing is kept."""
        return NULL_CALL

    def decided(self, arm: str, no_send_reason: str = "", features_dropped: int = 0) -> None:
        """Does nothing."""

    def committed(self, duration_seconds: float, batch_size: int) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


NULL_TELEMETRY = NullTelemetry()
