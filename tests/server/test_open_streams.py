"""Open streams leave threads for everything else, and their places come free again."""

import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from decisionlog import erasure
from decisionlog.erasure import Erasure
from decisionlog.store import Store
from sendwise.v1 import decision_service_pb2 as decision_api
from sendwise.v1 import privacy_service_pb2 as privacy_api
from server.refusals import TooManyStreamsError
from server.settings import ServeSettings
from server.streams import StreamSlots
from tests.server.service import Answers, Service, idle_stream, refused, request, running

THREADS, STREAMS = 4, 2
WAIT_SECONDS = 60  # far beyond what anything here takes: only a hang gets there


@contextmanager
def full(tmp_path: Path) -> Iterator[tuple[Service, list[Answers], Event]]:
    """A service with as many open streams as it takes, and what ends them."""
    end = Event()
    with running(tmp_path / "data", threads=THREADS) as service, ExitStack() as stack:
        stack.callback(end.set)
        calls = [idle_stream(service, end) for _ in range(STREAMS)]
        for call in calls:
            next(call)  # answered, so it is open
        yield service, calls, end


def test_idle_streams_starve_nobody(tmp_path: Path) -> None:
    """With all places taken calls and health checks are answered, and one more stream is not."""
    with full(tmp_path) as (service, _, end):
        found = refused(lambda: next(idle_stream(service, end)))
        assert (found.code, found.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "TOO_MANY_STREAMS",
        )
        assert found.metadata == {"maximum": str(STREAMS)}
        assert service.decide().decision_id
        checks = health_pb2_grpc.HealthStub(service.channel)
        status = checks.Check(health_pb2.HealthCheckRequest(), timeout=WAIT_SECONDS).status
        assert status == health_pb2.HealthCheckResponse.SERVING


def test_the_end_of_a_stream_frees_its_place(tmp_path: Path) -> None:
    """After a stream has come to its end, the next is let in."""
    with full(tmp_path) as (service, calls, end):
        end.set()
        for call in calls:
            assert list(call) == []
        assert next(idle_stream(service, end)).result.HasField("response")


def test_a_cancelled_stream_frees_its_place(tmp_path: Path) -> None:
    """A caller that hangs up keeps nobody out."""
    with full(tmp_path) as (service, calls, end):
        calls[0].cancel()
        deadline = time.monotonic() + WAIT_SECONDS
        while not is_let_in(service, end):
            assert time.monotonic() < deadline, "the place of a cancelled stream stays taken"
            time.sleep(0.005)


def is_let_in(service: Service, end: Event) -> bool:
    """Tries to open a stream."""
    try:
        next(idle_stream(service, end))
    except grpc.RpcError:
        return False
    return True


def test_a_stream_without_a_token_takes_no_place(tmp_path: Path) -> None:
    """It is refused at its beginning, though it says nothing."""
    with running(tmp_path / "data", tokens=["secret"], threads=THREADS) as service:
        for _ in range(STREAMS + 1):
            end = Event()
            found = refused(lambda: next(service.decisions.StreamDecide(silence(end))))  # noqa: B023
            end.set()
            assert found.reason == "TOKEN_REQUIRED"


def silence(end: Event) -> Iterator[decision_api.StreamDecideRequest]:
    """A stream that asks nothing until its end is set."""
    end.wait()
    yield from ()


def test_a_place_comes_free_when_its_block_fails() -> None:
    """Whatever ends a stream, its place can be taken again, and never twice at a time."""
    slots = StreamSlots(1)
    with suppress(LookupError), slots.held():
        raise LookupError
    with slots.held(), pytest.raises(TooManyStreamsError):
        slots.held().__enter__()


@pytest.mark.parametrize(("threads", "streams"), [(1, 1), (2, 1), (5, 2), (64, 32)])
def test_streams_get_half_of_the_threads(tmp_path: Path, threads: int, streams: int) -> None:
    """Rounded down, but one at least."""
    settings = ServeSettings.create(
        data_dir=tmp_path / "data", key_file=tmp_path / "key", threads=threads
    )
    assert settings.streams_max == streams


def test_idle_reflection_starves_nobody(tmp_path: Path) -> None:
    """Without a token one stream may ask and stay; more are told that there are too many."""
    with running(tmp_path / "data", tokens=["secret"], threads=THREADS) as service:
        end = Event()

        def asked() -> Iterator[reflection_pb2.ServerReflectionRequest]:
            yield reflection_pb2.ServerReflectionRequest(list_services="")
            end.wait()

        stub = reflection_pb2_grpc.ServerReflectionStub(service.channel)
        first = stub.ServerReflectionInfo(asked())
        assert next(first).HasField("list_services_response")
        for _ in range(THREADS):
            found = refused(lambda: next(stub.ServerReflectionInfo(asked())))
            assert found.reason == "TOO_MANY_STREAMS"
        metadata = (("authorization", "Bearer secret"),)
        answer = service.decisions.Decide(request(), metadata=metadata, timeout=WAIT_SECONDS)
        assert answer.decision_id
        end.set()
        assert list(first) == []


def test_watched_health_holds_no_thread(tmp_path: Path) -> None:
    """However many watch it, calls are answered."""
    with running(tmp_path / "data", threads=THREADS) as service:
        stub = health_pb2_grpc.HealthStub(service.channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(2 * THREADS)]
        for watch in watches:
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        assert service.decisions.Decide(request(), timeout=WAIT_SECONDS).decision_id
        for watch in watches:
            watch.cancel()


def test_erasures_starve_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a pass takes its time, as many wait as there are places; the rest are refused."""
    begun, end, erase = Event(), Event(), erasure.erase

    def slow(store: Store, subjects: Collection[bytes], now_ms: int) -> dict[bytes, Erasure]:
        begun.set()
        end.wait(WAIT_SECONDS)
        return erase(store, subjects, now_ms)

    monkeypatch.setattr(erasure, "erase", slow)
    with running(tmp_path / "data", threads=THREADS) as service:
        asked = [privacy_api.EraseSubjectRequest(subject_id=f"s{n}") for n in range(2 * THREADS)]
        calls = [service.privacy.EraseSubject.future(one) for one in asked]
        assert begun.wait(WAIT_SECONDS)
        assert service.decisions.Decide(request(), timeout=WAIT_SECONDS).decision_id
        end.set()
        codes = [call.code() for call in calls]
        assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert codes.count(grpc.StatusCode.OK) >= STREAMS
