"""Traces of a sample of the calls, and of those whose callers trace them."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from server.telemetry.interface import Caller, Step
from server.telemetry.names import (
    ERROR_TYPE,
    RPC_METHOD,
    RPC_RESPONSE_STATUS_CODE,
    RPC_SYSTEM_NAME,
)
from server.telemetry.null import NULL_CALL

SCOPE = "sendwise"
SERVER_ERRORS = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""Statuses that are the server's fault, by the conventions for gRPC."""
TRACE_HEADERS = ("traceparent", "tracestate")


class CallTrace(Protocol):
    """The trace of one call."""

    def note(self, name: str, value: str | float) -> None:
        """Adds an attribute."""

    def step(self, name: str) -> Step:
        """Opens a span below the call's."""

    def end(self, status: str) -> None:
        """Ends the call's span."""


class Tracing(Protocol):
    """Decides which calls are traced."""

    def begin(self, method: str, caller: Caller) -> CallTrace:
        """Opens the trace of a call; one that keeps nothing if the call is not to be traced."""

    def close(self) -> None:
        """Hands on what has not been handed on yet."""


class NoTrace:
    """The trace of a call that is not traced."""

    __slots__ = ()

    def note(self, name: str, value: str | float) -> None:
        """Does nothing."""

    def step(self, name: str) -> Step:  # noqa: ARG002 - the interface's
        """A step of which nothing is kept."""
        return NULL_CALL

    def end(self, status: str) -> None:
        """Does nothing."""


NO_TRACE = NoTrace()


class NoTracing:
    """Traces no call."""

    def begin(self, method: str, caller: Caller) -> NoTrace:  # noqa: ARG002 - the interface's
        """The trace of a call that is not traced."""
        return NO_TRACE

    def close(self) -> None:
        """Does nothing."""


class SampledTracing:
    """Traces a share of the calls; a caller's own decision goes before.

    The same choice as a parent-based ratio sampler's, made before OpenTelemetry is called, since
    even an unsampled span of its costs more than all other telemetry of a call.
    """

    def __init__(
        self, provider: TracerProvider, *, ratio: float, draw: Callable[[], float]
    ) -> None:
        """Traces with `provider`, which must keep every span that it is given.

        Args:
            provider: Makes the spans.
            ratio: Share of the calls to trace, of those whose callers have not decided.
            draw: Gives uniform numbers in [0, 1).
        """
        self._provider = provider
        self._tracer = provider.get_tracer(SCOPE)
        self._propagator = TraceContextTextMapPropagator()
        self._ratio = ratio
        self._draw = draw

    def begin(self, method: str, caller: Caller) -> CallTrace:
        """Opens the trace of a call, if it is to be traced."""
        parent = self._parent(caller.invocation_metadata() or ())
        decided = trace.get_current_span(parent).get_span_context() if parent else None
        if decided is not None and decided.is_valid:
            sampled = decided.trace_flags.sampled
        else:
            sampled = self._draw() < self._ratio
        return SpanTrace(self._tracer, method, parent) if sampled else NO_TRACE

    def _parent(self, metadata: Sequence[tuple[str, str | bytes]]) -> Context | None:
        """The caller's trace by W3C's headers, if it came with any that can be read."""
        headers = {name: value for name, value in metadata if name in TRACE_HEADERS}
        # An empty context: what this thread happens to be in is no part of the caller's trace.
        return self._propagator.extract(headers, Context()) if headers else None

    def close(self) -> None:
        """Sends the last spans; takes as long as the exporter tries."""
        self._provider.shutdown()


class SpanTrace:
    """The trace of a call that is traced."""

    __slots__ = ("_context", "_span", "_tracer")

    def __init__(self, tracer: trace.Tracer, method: str, parent: Context | None) -> None:
        self._tracer = tracer
        self._span = tracer.start_span(
            method,
            context=parent or Context(),
            kind=trace.SpanKind.SERVER,
            attributes={RPC_SYSTEM_NAME: "grpc", RPC_METHOD: method},
        )
        self._context = trace.set_span_in_context(self._span, Context())

    def note(self, name: str, value: str | float) -> None:
        """Adds an attribute to the call's span."""
        self._span.set_attribute(name, value)

    def step(self, name: str) -> Step:
        """Opens a span below the call's."""
        return SpanStep(self._tracer.start_span(name, context=self._context))

    def end(self, status: str) -> None:
        """Ends the call's span. Texts of errors may hold what a caller sent: only names go out."""
        self._span.set_attribute(RPC_RESPONSE_STATUS_CODE, status)
        if status in SERVER_ERRORS:
            self._span.set_attribute(ERROR_TYPE, status)
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()


class SpanStep:
    """A part of a call that is traced."""

    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace_back: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._span.set_attribute(ERROR_TYPE, kind.__name__)
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()
