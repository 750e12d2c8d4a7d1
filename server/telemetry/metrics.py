"""What the service counts and times, and how OpenTelemetry gets it."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    Metric,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry

from server.telemetry.names import (
    PROCESS_UPTIME,
    RPC_METHOD,
    RPC_RESPONSE_STATUS_CODE,
    RPC_SERVER_CALL_DURATION,
)
from server.telemetry.tallies import Counter, Distribution, Histogram, Labels, Measure

SCOPE = "sendwise"
# Finer below 5 ms than the conventions' own buckets, since most calls end there.
DURATION_BOUNDS_SECONDS = (
    *(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)
BATCH_BOUNDS = tuple(2.0**power for power in range(11))  # 1 to 1,024


class Metrics:
    """All that is counted and timed."""

    def __init__(self) -> None:
        self.calls = Histogram(
            Measure(
                RPC_SERVER_CALL_DURATION,
                "s",
                "Time that calls took, from the first line of their handler to the last.",
                (RPC_METHOD, RPC_RESPONSE_STATUS_CODE),
            ),
            DURATION_BOUNDS_SECONDS,
        )
        self.commits = Histogram(
            Measure(
                "sendwise.commit.duration",
                "s",
                "Time that transactions of the log took until they were on disk.",
                (),
            ),
            DURATION_BOUNDS_SECONDS,
        )
        self.batches = Histogram(
            Measure(
                "sendwise.commit.batch_size",
                "{operation}",
                "Operations that shared a transaction of the log.",
                (),
            ),
            BATCH_BOUNDS,
        )
        self.decisions = Counter(
            Measure(
                "sendwise.decisions",
                "{decision}",
                "Decisions made, by the arm that answered and the reason to send nothing, if any.",
                ("sendwise.arm", "sendwise.no_send_reason"),
            )
        )
        self.features_dropped = Counter(
            Measure(
                "sendwise.features_dropped",
                "{feature}",
                "Features of requests that the catalog does not keep: neither used nor stored.",
                (),
            )
        )

    @property
    def histograms(self) -> tuple[Histogram, ...]:
        """Those that `TallyReader` adds to what the meters bring."""
        return (self.calls, self.commits, self.batches)


class TallyReader(PrometheusMetricReader):
    """Answers Prometheus with the meters' own metrics and our histograms.

    Counters reach OpenTelemetry through its observable instruments. Histograms have no such, so
    they join the collected data on its way to the exporter.
    """

    def __init__(
        self, registry: CollectorRegistry, histograms: Iterable[Histogram], *, started_at_ns: int
    ) -> None:
        """Registers with `registry`; `started_at_ns` is the Unix time since which is counted."""
        super().__init__(registry=registry, scope_info_enabled=False)
        self._histograms = tuple(histograms)
        self._started_at_ns = started_at_ns

    def _receive_metrics(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,
        **kwargs: Any,  # noqa: ANN401 - the base class's own
    ) -> None:
        now_ns = time.time_ns()
        metrics = [
            _as_metric(histogram, self._started_at_ns, now_ns) for histogram in self._histograms
        ]
        super()._receive_metrics(_with_scope(metrics_data, metrics), timeout_millis, **kwargs)


def provide(reader: TallyReader, resource: Resource, metrics: Metrics) -> MeterProvider:
    """Connects `metrics` with OpenTelemetry."""
    provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    meter = provider.get_meter(SCOPE)
    _observe_counter(meter, metrics.decisions)
    _observe_counter(meter, metrics.features_dropped)
    _observe_uptime(meter, time.monotonic)
    return provider


def _observe_counter(meter: Meter, counter: Counter) -> None:
    measure = counter.measure

    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(count, _attributes(measure, labels))
            for labels, count in counter.read().items()
        ]

    meter.create_observable_counter(measure.name, [observe], measure.unit, measure.description)


def _observe_uptime(meter: Meter, clock: Callable[[], float]) -> None:
    started_at = clock()

    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(clock() - started_at)]

    meter.create_observable_gauge(PROCESS_UPTIME, [observe], "s", "Time that the worker has run.")


def _attributes(measure: Measure, labels: Labels) -> dict[str, str]:
    """Labels that do not apply are empty, and left out."""
    pairs = zip(measure.label_names, labels, strict=True)
    return {name: label for name, label in pairs if label}


def _with_scope(data: MetricsData, metrics: list[Metric]) -> MetricsData:
    """The collected data with our metrics in a scope of its own."""
    ours = ScopeMetrics(InstrumentationScope(SCOPE), metrics, "")
    first, *rest = data.resource_metrics
    joined = ResourceMetrics(first.resource, [*first.scope_metrics, ours], first.schema_url)
    return MetricsData([joined, *rest])


def _as_metric(histogram: Histogram, started_at_ns: int, now_ns: int) -> Metric:
    measure = histogram.measure
    points = [
        _as_point(histogram, labels, distribution, started_at_ns, now_ns)
        for labels, distribution in histogram.read().items()
    ]
    data = HistogramData(points, AggregationTemporality.CUMULATIVE)
    return Metric(measure.name, measure.description, measure.unit, data)


def _as_point(
    histogram: Histogram,
    labels: Labels,
    distribution: Distribution,
    started_at_ns: int,
    now_ns: int,
) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=_attributes(histogram.measure, labels),
        start_time_unix_nano=started_at_ns,
        time_unix_nano=now_ns,
        count=sum(distribution.counts),
        sum=distribution.total,
        bucket_counts=distribution.counts,
        explicit_bounds=histogram.bounds,
        min=distribution.smallest,
        max=distribution.largest,
    )
