"""What telemetry costs a call, beside OpenTelemetry's own instruments on the same calls.

Each figure is the median over rounds in which all candidates take turns, in microseconds of one
thread for one call with one step inside, as `Decide` makes it.
"""

import random
import statistics
import time
from collections.abc import Callable, Mapping

from opentelemetry.context import Context
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind

from server.telemetry import NULL_TELEMETRY, Telemetry
from server.telemetry.live import LiveTelemetry
from server.telemetry.metrics import DURATION_BOUNDS_SECONDS, Metrics
from server.telemetry.names import RPC_METHOD, RPC_RESPONSE_STATUS_CODE
from server.telemetry.tracing import NoTracing, SampledTracing, Tracing

METHOD = "sendwise.v1.DecisionService/Decide"
ROUNDS = 15
CALLS = 2_000
RATIO = 0.01


class Caller:
    """A caller that sends what gRPC's own client sends, and no trace."""

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """As gRPC gives it."""
        return (("user-agent", "grpc-python/1.80"), ("authorization", "Bearer x"))


class Discard(SpanExporter):
    """Takes traces and drops them: what is measured is the caller's part."""

    def export(self, spans: object) -> SpanExportResult:  # noqa: ARG002 - the interface's
        """Drops them."""
        return SpanExportResult.SUCCESS


def ours(telemetry: Telemetry) -> Callable[[], None]:
    """A call as the services make it."""
    caller = Caller()

    def one() -> None:
        with telemetry.call(METHOD, caller) as call, call.step("commit"):
            pass
        telemetry.decided("champion")

    return one


def live(tracing: Tracing) -> Telemetry:
    """Telemetry that counts, with some tracing."""
    return LiveTelemetry(Metrics(), tracing, clock=time.perf_counter, on_close=lambda: None)


def sampled(ratio: float) -> Tracing:
    """Our sampling before OpenTelemetry."""
    provider = TracerProvider(ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Discard()))
    return SampledTracing(provider, ratio=ratio, draw=random.Random(0).random)  # noqa: S311


def opentelemetry_metrics() -> Callable[[], None]:
    """The same counts by OpenTelemetry's own histogram and counter, as cheap as they get."""
    reader = InMemoryMetricReader()
    provider = MeterProvider(
        [reader], exemplar_filter=AlwaysOffExemplarFilter(), shutdown_on_exit=False
    )
    meter = provider.get_meter("sendwise")
    histogram = meter.create_histogram(
        "calls", "s", explicit_bucket_boundaries_advisory=DURATION_BOUNDS_SECONDS
    )
    counter = meter.create_counter("decisions")

    def one() -> None:
        started = time.perf_counter()
        seconds = time.perf_counter() - started
        histogram.record(seconds, {RPC_METHOD: METHOD, RPC_RESPONSE_STATUS_CODE: "OK"})
        counter.add(1, {"sendwise.arm": "champion"})

    return one


def opentelemetry_spans() -> Callable[[], None]:
    """The same spans under OpenTelemetry's own sampler."""
    sampler = ParentBased(TraceIdRatioBased(RATIO))
    provider = TracerProvider(sampler, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Discard()))
    tracer = provider.get_tracer("sendwise")

    def one() -> None:
        with (
            tracer.start_as_current_span(METHOD, Context(), SpanKind.SERVER),
            tracer.start_as_current_span("commit"),
        ):
            pass

    return one


def microseconds(call: Callable[[], None]) -> float:
    """Mean time of a call in one round."""
    started = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - started) / CALLS * 1e6


def run() -> dict[str, float]:
    """Measures all candidates; `*_us` are microseconds a call, `*_ratio` are ours / theirs."""
    candidates: Mapping[str, Callable[[], None]] = {
        "off_us": ours(NULL_TELEMETRY),
        "metrics_us": ours(live(NoTracing())),
        "metrics_and_1_percent_traces_us": ours(live(sampled(RATIO))),
        "metrics_and_all_traces_us": ours(live(sampled(1.0))),
        "opentelemetry_metrics_us": opentelemetry_metrics(),
        "opentelemetry_1_percent_traces_us": opentelemetry_spans(),
    }
    rounds = [{name: microseconds(one) for name, one in candidates.items()} for _ in range(ROUNDS)]
    figures = {name: statistics.median(one[name] for one in rounds) for name in candidates}
    theirs = figures["opentelemetry_metrics_us"] + figures["opentelemetry_1_percent_traces_us"]
    figures["metrics_ratio"] = figures["metrics_us"] / figures["opentelemetry_metrics_us"]
    figures["all_ratio"] = figures["metrics_and_1_percent_traces_us"] / theirs
    return {name: round(figure, 3) for name, figure in figures.items()}
