"""The telemetry of a service that someone watches."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from server.telemetry.interface import Caller, Step
from server.telemetry.metrics import Metrics
from server.telemetry.tallies import Histogram
from server.telemetry.tracing import CallTrace, Tracing


class LiveTelemetry:
    """Tallies everything and traces a sample."""

    def __init__(
        self,
        metrics: Metrics,
        tracing: Tracing,
        *,
        clock: Callable[[], float],
        on_close: Callable[[], None],
    ) -> None:
        """Connects the parts.

        Args:
            metrics: Where to tally.
            tracing: Decides what to trace.
            clock: Seconds, monotonic.
            on_close: Stops whoever reads `metrics`.
        """
        self._metrics = metrics
        self._tracing = tracing
        self._clock = clock
        self._on_close = on_close

    def call(self, method: str, caller: Caller) -> "LiveCall":
        """Counts and times a call, and may trace it."""
        trace = self._tracing.begin(method, caller)
        return LiveCall(self._metrics.calls, trace, method, self._clock)

    def decided(self, arm: str, no_send_reason: str = "", features_dropped: int = 0) -> None:
        """Counts a decision."""
        self._metrics.decisions.add((arm, no_send_reason))
        if features_dropped:
            self._metrics.features_dropped.add((), features_dropped)

    def committed(self, duration_seconds: float, batch_size: int) -> None:
        """Counts and times a commit."""
        self._metrics.commits.record((), duration_seconds)
        self._metrics.batches.record((), batch_size)

    def close(self) -> None:
        """Sends the last spans and stops answering Prometheus."""
        self._tracing.close()
        self._on_close()


class LiveCall:
    """A call that is timed from its making."""

    __slots__ = ("_calls", "_clock", "_method", "_started_at", "_status", "_trace")

    def __init__(
        self, calls: Histogram, trace: CallTrace, method: str, clock: Callable[[], float]
    ) -> None:
        self._calls = calls
        self._trace = trace
        self._method = method
        self._clock = clock
        self._status = ""
        self._started_at = clock()

    def failed(self, status: str) -> None:
        """Sets how the call ends."""
        self._status = status

    def note(self, name: str, value: str | float) -> None:
        """Adds an attribute to the trace, if there is one."""
        self._trace.note(name, value)

    def step(self, name: str) -> Step:
        """Times a part of the call in its trace, if there is one."""
        return self._trace.step(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # An exception of which nobody said what it means reaches the caller as INTERNAL.
        status = self._status or ("OK" if kind is None else "INTERNAL")
        self._calls.record((self._method, status), self._clock() - self._started_at)
        self._trace.end(status)
