"""One worker process: puts log, policies and services together and serves until told to stop."""

import gc
import logging
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from decisionlog import (
    DecisionIds,
    DecisionLog,
    DecisionLogError,
    KeyFileError,
    Keys,
    RecordKeyMissing,
    WrongKey,
    load_keys,
)
from policy.errors import PolicyError
from policy.registry import Registry
from policy.releases import Releases
from policy.warm_up import warm_up
from server.auth import Tokens
from server.engine import Engine
from server.keeping import kept
from server.lifeline import Lifeline
from server.logs import configure
from server.privacy import Privacy
from server.privacy_servicer import register_privacy
from server.reflecting import register_reflection
from server.serve_errors import InvalidSettingError, ServeError
from server.servicers import SERVICES, Calls, register
from server.serving import Current
from server.settings import WorkerSettings
from server.streams import StreamSlots
from server.telemetry import Telemetry, TelemetrySettings, start

# 1,000 requests with 256 features of 384 bytes each would be 98 MB; no sane batch comes near this.
MESSAGE_BYTES_MAX = 32 * 2**20
GC_THRESHOLD = 20_000
"""Objects made and not freed before the collector of cycles runs."""
_log = logging.getLogger(__name__)


def main() -> int:
    """Serves; returns the exit code."""
    with Lifeline() as lifeline:
        try:
            settings = lifeline.settings()
            configure(level=settings.log_level, form=settings.log_format, worker=settings.index)
            with _serving(settings):
                lifeline.ready()
                lifeline.wait_for_stop()
        except (InvalidSettingError, KeyFileError, RecordKeyMissing, WrongKey) as error:
            _log.error("%s", error)
            return os.EX_CONFIG  # starting again would not help
        except (ServeError, PolicyError, DecisionLogError) as error:
            _log.error("%s", error)
            return os.EX_SOFTWARE
    return os.EX_OK


def now_ms() -> int:
    """Unix time."""
    return time.time_ns() // 1_000_000


@contextmanager
def _serving(settings: WorkerSettings) -> Iterator[None]:
    """Serves while the block runs; then finishes the calls in flight and closes the log."""
    with ExitStack() as stack:
        warm_up()
        telemetry = start(_telemetry_settings(settings))
        stack.callback(telemetry.close)
        slots = StreamSlots(settings.streams_max)
        calls = Calls(telemetry, Tokens.load(settings.token_file), slots)
        registry = Registry(settings.data_dir)
        current = Current(registry)
        keys = load_keys(settings.key_file, data_directory=settings.data_dir)
        log = stack.enter_context(_log_of(settings, keys, telemetry))
        engine = Engine(log, keys, DecisionIds(now_ms), registry, current)
        server, checks = _server(settings)
        releases = Releases(registry, lambda: datetime.now(UTC))
        register(server, engine, calls, releases, now_ms)
        register_privacy(server, Privacy(log, keys, now_ms), calls)
        register_reflection(server, slots)
        current.start()
        stack.callback(current.stop)
        if settings.index == 0:  # one keeps the log for all
            stack.enter_context(kept(log, settings, current, now_ms))
        _leave_what_is_loaded()
        server.start()
        yield
        checks.enter_graceful_shutdown()
        server.stop(settings.grace_seconds).wait()


def _leave_what_is_loaded() -> None:
    """Lets the collector of cycles look less often, and never at what is loaded by now.

    Each call makes some hundred objects and hardly a cycle. By the defaults the collector ran for
    every second call, and now and then through all modules while every call waited.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def _log_of(settings: WorkerSettings, keys: Keys, telemetry: Telemetry) -> DecisionLog:
    return DecisionLog.open(
        settings.data_dir,
        keys=keys,
        map_size_bytes=settings.map_size_bytes,
        on_commit=telemetry.committed,
        key_ring=settings.record_keys,
    )


def _server(settings: WorkerSettings) -> tuple[grpc.Server, health.HealthServicer]:
    """A server on the shared port, with health."""
    options = [("grpc.so_reuseport", 1), ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX)]
    pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="call")
    server = grpc.server(pool, options=options)
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    for service in ("", *SERVICES):
        checks.set(service, health_pb2.HealthCheckResponse.SERVING)
    server.add_insecure_port(f"{_bracketed(settings.host)}:{settings.port}")
    return server, checks


def _bracketed(host: str) -> str:
    """IPv6 addresses stand in brackets before a port."""
    return f"[{host}]" if ":" in host else host


def _telemetry_settings(settings: WorkerSettings) -> TelemetrySettings:
    port = settings.metrics_port
    return TelemetrySettings(
        metrics_port=None if port is None else port + settings.index,
        metrics_host=settings.host,
        otlp_endpoint=settings.otlp_endpoint,
        trace_ratio=settings.trace_ratio,
        worker=settings.index,
    )


if __name__ == "__main__":
    sys.exit(main())
