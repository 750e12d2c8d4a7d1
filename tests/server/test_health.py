"""The health check against real servers."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from server.health import check, main
from server.serve_errors import UnhealthyError

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@dataclass
class Service:
    """A server that has nothing but the standard health service."""

    address: str
    checks: health.HealthServicer


@pytest.fixture
def service() -> Iterator[Service]:
    """A server that serves."""
    server = grpc.server(ThreadPoolExecutor(1))
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    checks.set("", SERVING)
    yield Service(f"127.0.0.1:{port}", checks)
    server.stop(None)


def test_a_server_that_serves(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 and one line on standard output."""
    assert main([service.address]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (f"sendwise: {service.address} is serving\n", "")


def test_a_server_that_drains(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 and one line on standard error."""
    service.checks.enter_graceful_shutdown()
    assert main([service.address]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"sendwise: {service.address} is not serving: NOT_SERVING\n"


def test_one_service_is_asked_about_by_name(service: Service) -> None:
    """It may be down while the others serve."""
    service.checks.set("sendwise.v1.DecisionService", NOT_SERVING)
    check(service.address)
    with pytest.raises(UnhealthyError, match="NOT_SERVING"):
        check(service.address, service="sendwise.v1.DecisionService")


def test_an_unknown_service(service: Service) -> None:
    """Is a mistake of whoever asks, and named."""
    with pytest.raises(UnhealthyError, match=r"it has no service 'sendwise\.v0\.Nothing'"):
        check(service.address, service="sendwise.v0.Nothing")


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A refused connection fails at once, in one line."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        assert main([address]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"sendwise: {address} is not serving: UNAVAILABLE: ")
    assert error.count("\n") == 1


def test_someone_who_never_answers() -> None:
    """The timeout ends the wait."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UnhealthyError, match="DEADLINE_EXCEEDED"):
            check(address, timeout_seconds=0.2)
