"""Starts the telemetry that the settings ask for; OpenTelemetry is imported only if they do."""

import importlib.metadata
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.serve_errors import MetricsPortError
from server.telemetry.interface import Telemetry
from server.telemetry.null import NULL_TELEMETRY

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from server.telemetry.metrics import Metrics
    from server.telemetry.tracing import Tracing


EXPORT_SECONDS_MAX = 2.0
"""How long a batch of traces is offered to a collector; also what closing may take."""


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Who is told what."""

    metrics_port: int | None = None
    """Port of this worker for Prometheus, 0 for a free one; None measures nothing."""
    metrics_host: str = "127.0.0.1"
    """Name or address of the interface for Prometheus."""
    otlp_endpoint: str | None = None
    """Where traces go; None traces nothing."""
    trace_ratio: float = 0.0
    """Share of calls to trace, of those whose caller has not decided that already."""
    worker: int = 0
    """Number of this worker."""


def start(
    settings: TelemetrySettings,
    *,
    clock: Callable[[], float] = time.perf_counter,
    draw: Callable[[], float] = random.random,
) -> Telemetry:
    """Starts what `settings` ask for.

    Args:
        settings: Who is told what.
        clock: Seconds, monotonic; times calls.
        draw: Gives uniform numbers in [0, 1); picks the calls to trace.

    Raises:
        MetricsPortError: if the port for Prometheus cannot be opened.
    """
    if settings.metrics_port is None and settings.otlp_endpoint is None:
        return NULL_TELEMETRY
    return _start_live(settings, clock, draw)


def _start_live(
    settings: TelemetrySettings, clock: Callable[[], float], draw: Callable[[], float]
) -> Telemetry:
    # Importing OpenTelemetry takes as long as all the rest of a worker's start.
    from server.telemetry.live import LiveTelemetry  # noqa: PLC0415
    from server.telemetry.metrics import Metrics  # noqa: PLC0415

    metrics = Metrics()
    resource = _resource(settings.worker)
    return LiveTelemetry(
        metrics,
        _start_tracing(settings, resource, draw),
        clock=clock,
        on_close=_answer_prometheus(settings, resource, metrics),
    )


def _resource(worker: int) -> "Resource":
    """What all that is told has in common; OTEL_RESOURCE_ATTRIBUTES adds to it."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - see _start_live

    return Resource.create(
        {
            "service.name": "sendwise",
            "service.version": importlib.metadata.version("sendwise"),
            "sendwise.worker": worker,
        }
    )


def _answer_prometheus(
    settings: TelemetrySettings, resource: "Resource", metrics: "Metrics"
) -> Callable[[], None]:
    """Listens for Prometheus, if it is to; returns what stops that."""
    port = settings.metrics_port
    if port is None:
        return lambda: None
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415

    from server.telemetry.metrics import TallyReader, provide  # noqa: PLC0415 - see _start_live

    registry = CollectorRegistry()
    reader = TallyReader(registry, metrics.histograms, started_at_ns=time.time_ns())
    provider = provide(reader, resource, metrics)
    try:
        listener, thread = start_http_server(port, settings.metrics_host, registry)
    except OSError as error:
        problem = error.strerror or str(error)
        raise MetricsPortError(settings.metrics_host, port, problem) from None

    def stop() -> None:
        listener.shutdown()
        listener.server_close()
        thread.join()
        provider.shutdown()

    return stop


def _start_tracing(
    settings: TelemetrySettings, resource: "Resource", draw: Callable[[], float]
) -> "Tracing":
    from server.telemetry.tracing import NoTracing, SampledTracing  # noqa: PLC0415

    if settings.otlp_endpoint is None:
        return NoTracing()
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415

    provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint, timeout=EXPORT_SECONDS_MAX)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return SampledTracing(provider, ratio=settings.trace_ratio, draw=draw)
