"""What the services and the log tell telemetry, whether anyone listens or not.

    with telemetry.call("sendwise.v1.DecisionService/Decide", context) as call:
        ...
        with call.step("commit"):
            ...
        telemetry.decided("champion")

Arguments become labels of time series that are kept for ever: they come from small fixed sets,
never from requests.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self


class Step(Protocol):
    """A part of a call; a span of its trace if the call is traced."""

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Call(Protocol):
    """A call in progress. It ends OK, unless `failed` says otherwise or an exception leaves it."""

    def failed(self, status: str) -> None:
        """Sets how the call ends.

        Args:
            status: Name of the gRPC status, such as `NOT_FOUND`.
        """

    def note(self, name: str, value: str | float) -> None:
        """Adds an attribute to the trace, if there is one; nothing that identifies a customer."""

    def step(self, name: str) -> Step:
        """Times a part of the call in its trace, if there is one."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Caller(Protocol):
    """What telemetry needs of a call's context: where its caller's trace is named."""

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]] | None:
        """Names and values that came with the call."""


class Telemetry(Protocol):
    """Takes in what happens; may be told by any thread."""

    def call(self, method: str, caller: Caller) -> Call:
        """Counts and times a call.

        Args:
            method: Full name, such as `sendwise.v1.DecisionService/Decide`.
            caller: The context of the call.
        """

    def decided(self, arm: str, no_send_reason: str = "", features_dropped: int = 0) -> None:
        """Counts a decision.

        Args:
            arm: Why this policy answered, such as `champion`.
            no_send_reason: Why nothing is sent, if so, such as `nothing_eligible`.
            features_dropped: Features of the request that the catalog does not keep.
        """

    def committed(self, duration_seconds: float, batch_size: int) -> None:
        """Counts and times a commit of `batch_size` operations to the log."""

    def close(self) -> None:
        """Hands on what has not been handed on yet, and stops listening."""
