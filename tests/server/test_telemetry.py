"""Telemetry as those who watch see it: Prometheus over HTTP, and a collector over OTLP."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from prometheus_client.parser import text_string_to_metric_families

from server.serve_errors import MetricsPortError
from server.telemetry import NULL_TELEMETRY, Telemetry, TelemetrySettings, start
from server.telemetry.tallies import Counter, Histogram, Measure

ROOT = Path(__file__).resolve().parents[2]
DECIDE = "sendwise.v1.DecisionService/Decide"
MEASURE = Measure("things", "{thing}", "Things.", ("kind",))
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"


class Caller:
    """The context of a call that came with some metadata."""

    def __init__(self, *metadata: tuple[str, str | bytes]) -> None:
        self.metadata = metadata

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]] | None:
        """What came."""
        return self.metadata


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Now."""
        return self.now


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fail(telemetry: Telemetry, status: str) -> None:
    """A call that an exception leaves, explained as `status` if that is not empty."""
    with telemetry.call(DECIDE, Caller()) as call, call.step("commit"):
        if status:
            call.failed(status)
        raise ValueError("alice")


def shown(labels: Mapping[str, str]) -> str:
    """Labels in one text; an empty one is none, to Prometheus."""
    return " ".join(f"{name}={label}" for name, label in sorted(labels.items()) if label)


class Watched:
    """Telemetry that Prometheus may ask."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.port = free_port()
        settings = TelemetrySettings(metrics_port=self.port, worker=1)
        self.telemetry = start(settings, clock=self.clock)

    def call(self, seconds: float, status: str = "") -> None:
        """A call that takes so long."""
        with self.telemetry.call(DECIDE, Caller()) as call:
            self.clock.now += seconds
            if status:
                call.failed(status)

    def samples(self) -> dict[tuple[str, str], float]:
        """Every value that Prometheus gets, by the sample's name and its labels in one text."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics") as page:
            text = page.read().decode()
        return {
            (sample.name, shown(sample.labels)): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def watched() -> Iterator[Watched]:
    """Telemetry that Prometheus may ask, and a clock."""
    one = Watched()
    yield one
    one.telemetry.close()


def test_calls_are_counted_and_timed_by_method_and_status(watched: Watched) -> None:
    """In seconds, under the conventions' names, in cumulative buckets that include their bound."""
    watched.call(0.001)
    watched.call(0.003)
    watched.call(7.0, "INVALID_ARGUMENT")
    samples = watched.samples()
    name = "rpc_server_call_duration_seconds"
    ok = f"rpc_method={DECIDE} rpc_response_status_code=OK"
    bad = ok.replace("=OK", "=INVALID_ARGUMENT")
    assert samples[f"{name}_count", ok] == 2
    assert samples[f"{name}_sum", ok] == pytest.approx(0.004)
    assert samples[f"{name}_bucket", f"le=0.0005 {ok}"] == 0
    assert samples[f"{name}_bucket", f"le=0.001 {ok}"] == 1
    assert samples[f"{name}_bucket", f"le=0.005 {ok}"] == 2
    assert samples[f"{name}_bucket", f"le=5.0 {bad}"] == 0
    assert samples[f"{name}_bucket", f"le=+Inf {bad}"] == 1


def test_an_exception_that_nobody_explained_counts_as_internal(watched: Watched) -> None:
    """That is what its caller gets; an explained one counts as what it was explained to be."""
    for status in ("", "NOT_FOUND"):
        with pytest.raises(ValueError, match="alice"):
            fail(watched.telemetry, status)
    counts = {
        labels.rpartition("=")[2]: value
        for (name, labels), value in watched.samples().items()
        if name == "rpc_server_call_duration_seconds_count"
    }
    assert counts == {"INTERNAL": 1, "NOT_FOUND": 1}


def test_decisions_are_counted_by_arm_and_reason(watched: Watched) -> None:
    """A decision that sends something has no reason not to."""
    for arm, reason in [("champion", ""), ("champion", ""), ("holdout", "holdout")]:
        watched.telemetry.decided(arm, reason)
    samples = watched.samples()
    assert samples["sendwise_decisions_total", "sendwise_arm=champion"] == 2
    labels = "sendwise_arm=holdout sendwise_no_send_reason=holdout"
    assert samples["sendwise_decisions_total", labels] == 1


def test_dropped_features_are_summed(watched: Watched) -> None:
    """Over all decisions, those without any included."""
    for count in (0, 3, 2):
        watched.telemetry.decided("champion", features_dropped=count)
    assert watched.samples()["sendwise_features_dropped_total", ""] == 5


def test_commits_are_timed_and_sized(watched: Watched) -> None:
    """The size of a batch tells how far group commit carries."""
    watched.telemetry.committed(0.0004, 1)
    watched.telemetry.committed(0.003, 40)
    samples = watched.samples()
    assert samples["sendwise_commit_duration_seconds_count", ""] == 2
    assert samples["sendwise_commit_duration_seconds_sum", ""] == pytest.approx(0.0034)
    assert samples["sendwise_commit_batch_size_sum", ""] == 41
    assert samples["sendwise_commit_batch_size_bucket", "le=32.0"] == 1


def test_prometheus_learns_which_worker_it_asks(watched: Watched) -> None:
    """Each worker has a page of its own, since the exporter sees one process."""
    target = next(labels for name, labels in watched.samples() if name == "target_info")
    assert "sendwise_worker=1" in target
    assert "service_name=sendwise" in target


def test_asking_twice_changes_nothing(watched: Watched) -> None:
    """Counts are since the start, not since the last question."""
    watched.call(0.001)
    key = "rpc_server_call_duration_seconds_count"
    first, second = ({k: v for k, v in watched.samples().items() if k[0] == key} for _ in "12")
    assert first == second
    assert list(first.values()) == [1]


def test_a_taken_port_is_refused(watched: Watched) -> None:
    """The error names the port and how it follows from the setting."""
    with pytest.raises(MetricsPortError, match="choose another metrics_port") as refusal:
        start(TelemetrySettings(metrics_port=watched.port))
    assert refusal.value.port == watched.port


def test_a_closed_port_can_be_opened_again() -> None:
    """A worker that is started again gets the port of the one that died."""
    port = free_port()
    for _ in range(2):
        start(TelemetrySettings(metrics_port=port)).close()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(-10, 10)), max_size=50))
def test_a_histogram_holds_every_value_once(values: list[tuple[str, float]]) -> None:
    """In the bucket whose bounds enclose it, the upper one included."""
    bounds = (-1.0, 0.0, 2.5)
    histogram = Histogram(MEASURE, bounds)
    for kind, value in values:
        histogram.record((kind,), value)
    read = histogram.read()
    assert set(read) == {(kind,) for kind, _ in values}
    for (kind,), distribution in read.items():
        mine = [value for label, value in values if label == kind]
        edges = (float("-inf"), *bounds, float("inf"))
        expected = [sum(low < value <= high for value in mine) for low, high in pairwise(edges)]
        assert list(distribution.counts) == expected
        assert distribution.total == pytest.approx(sum(mine))
        assert (distribution.smallest, distribution.largest) == (min(mine), max(mine))


def test_no_count_is_lost_between_threads() -> None:
    """Though all threads count the same things at the same time."""
    counter, histogram = Counter(MEASURE), Histogram(MEASURE, (0.5,))
    threads, times = 8, 2_000
    gate = threading.Barrier(threads)

    def count() -> None:
        gate.wait()
        for _ in range(times):
            counter.add(("a",))
            histogram.record(("a",), 1.0)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(count) for _ in range(threads)]:
            done.result()
    assert counter.read() == {("a",): threads * times}
    assert histogram.read()["a",].counts == (0, threads * times)


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """A receiver of traces, as a collector for OpenTelemetry has it."""

    def __init__(self) -> None:
        self.received: list[Span] = []
        self.server = grpc.server(ThreadPoolExecutor(1))
        add_to_server = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
        add_to_server(self, self.server)  # type: ignore[no-untyped-call] # it has no stubs
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def Export(  # noqa: N802 - the name on the wire
        self,
        request: trace_service_pb2.ExportTraceServiceRequest,
        context: grpc.ServicerContext,  # noqa: ARG002 - the interface's
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Keeps what comes."""
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.received.extend(scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()

    def telemetry(self, ratio: float, draw: float = 0.5) -> Telemetry:
        """Telemetry that sends its traces here."""
        settings = TelemetrySettings(
            otlp_endpoint=f"http://127.0.0.1:{self.port}", trace_ratio=ratio
        )
        return start(settings, draw=lambda: draw)


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A receiver on a port of its own."""
    one = Collector()
    yield one
    one.server.stop(None)


def attributes(span: Span) -> dict[str, str]:
    """The texts among a span's attributes."""
    return {one.key: one.value.string_value for one in span.attributes}


def test_a_sampled_call_is_a_trace_with_its_steps(collector: Collector) -> None:
    """The call is the root, named by its method; the step lies below it."""
    telemetry = collector.telemetry(1.0)
    with telemetry.call(DECIDE, Caller()) as call, call.step("commit"):
        call.note("sendwise.arm", "champion")
    telemetry.close()
    step, root = collector.received
    assert (root.name, root.kind, root.parent_span_id) == (DECIDE, Span.SPAN_KIND_SERVER, b"")
    assert attributes(root) == {
        "rpc.system.name": "grpc",
        "rpc.method": DECIDE,
        "rpc.response.status_code": "OK",
        "sendwise.arm": "champion",
    }
    assert (step.name, step.parent_span_id) == ("commit", root.span_id)
    assert step.trace_id == root.trace_id
    assert root.status.code == Status.STATUS_CODE_UNSET


def test_the_draw_decides_about_calls_whose_callers_do_not(collector: Collector) -> None:
    """Draws below the ratio are traced; the others leave nothing."""
    for draw in (0.09, 0.1, 0.11):
        telemetry = collector.telemetry(0.1, draw)
        with telemetry.call(f"{draw}", Caller(("user-agent", "x"))) as call, call.step("commit"):
            pass
        telemetry.close()
    assert {span.name for span in collector.received} == {"0.09", "commit"}


@pytest.mark.parametrize(("flags", "ratio", "names"), [("01", 0.0, [DECIDE]), ("00", 1.0, [])])
def test_the_caller_decides_first(
    collector: Collector, flags: str, ratio: float, names: list[str]
) -> None:
    """What W3C's traceparent says goes before the ratio, and the trace goes on under its ids."""
    telemetry = collector.telemetry(ratio)
    header = ("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-{flags}")
    with telemetry.call(DECIDE, Caller(header)):
        pass
    telemetry.close()
    assert [span.name for span in collector.received] == names
    assert {span.trace_id.hex() for span in collector.received} <= {TRACE_ID}
    assert {span.parent_span_id.hex() for span in collector.received} <= {PARENT_ID}


@pytest.mark.parametrize("value", ["", "nonsense", f"00-{'0' * 32}-{PARENT_ID}-01"])
def test_a_header_that_means_nothing_is_as_none(collector: Collector, value: str) -> None:
    """The ratio decides, and the call succeeds."""
    telemetry = collector.telemetry(1.0)
    with telemetry.call(DECIDE, Caller(("traceparent", value))):
        pass
    telemetry.close()
    assert [span.name for span in collector.received] == [DECIDE]
    assert collector.received[0].parent_span_id == b""


def test_errors_are_marked_without_their_texts(collector: Collector) -> None:
    """A text may hold what a caller sent; the server's own faults alone count as errors."""
    telemetry = collector.telemetry(1.0)
    for status in ("INTERNAL", "NOT_FOUND"):
        with pytest.raises(ValueError, match="alice"):
            fail(telemetry, status)
    telemetry.close()
    step, internal, _, not_found = collector.received
    assert internal.status.code == step.status.code == Status.STATUS_CODE_ERROR
    assert not_found.status.code == Status.STATUS_CODE_UNSET
    assert attributes(internal)["error.type"] == "INTERNAL"
    assert attributes(step)["error.type"] == "ValueError"
    assert not any("alice" in str(span) for span in collector.received)


def test_a_missing_collector_does_not_hurt() -> None:
    """Calls go on, and the service stops in order."""
    settings = TelemetrySettings(otlp_endpoint=f"http://127.0.0.1:{free_port()}", trace_ratio=1.0)
    telemetry = start(settings)
    with telemetry.call(DECIDE, Caller()):
        pass
    telemetry.close()


def test_nothing_is_kept_when_nobody_watches() -> None:
    """Off is the default: one shared call that holds nothing, and no thread or port."""
    threads = threading.active_count()
    telemetry = start(TelemetrySettings())
    assert telemetry is NULL_TELEMETRY
    with telemetry.call(DECIDE, Caller()) as call, call.step("commit") as step:
        call.note("a", 1)
        call.failed("INTERNAL")
    assert step is call is telemetry.call("another", Caller())
    telemetry.decided("champion")
    telemetry.committed(0.1, 1)
    telemetry.close()
    assert threading.active_count() == threads


def test_off_does_not_even_import_opentelemetry() -> None:
    """A worker that nobody watches starts as fast as one without telemetry."""
    code = (
        "import sys; from server.telemetry import TelemetrySettings, start;"
        "start(TelemetrySettings()); print('opentelemetry' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
