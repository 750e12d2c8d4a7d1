"""Asks a server through gRPC's standard health service whether it serves.

    python -m server.health 127.0.0.1:50051

exits 0 with one line on standard output if it does, 1 with one line on standard error if not.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.serve_errors import UnhealthyError
from server.settings import DEFAULT_PORT

DEFAULT_ADDRESS = f"127.0.0.1:{DEFAULT_PORT}"
DEFAULT_TIMEOUT_SECONDS = 3.0


def check(
    address: str,
    *,
    service: str = "",
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    root_certificates: bytes | None = None,
) -> None:
    """Returns if the server serves.

    Args:
        address: Host and port.
        service: Full name of the service to ask about; empty for the server as a whole.
        timeout_seconds: How long the answer may take, the connection included.
        root_certificates: PEM of the authorities to trust if TLS stands before the server; None
            for a server without TLS.

    Raises:
        UnhealthyError: if it answers otherwise, or not in time.
    """
    with _channel(address, root_certificates) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout_seconds)
        except grpc.RpcError as error:
            raise UnhealthyError(address, _problem(error, service)) from None
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    if status != "SERVING":
        raise UnhealthyError(address, status)


def _channel(address: str, root_certificates: bytes | None) -> grpc.Channel:
    if root_certificates is None:
        return grpc.insecure_channel(address)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(root_certificates))


def _problem(error: grpc.RpcError, service: str) -> str:
    """What went wrong, in a line."""
    if not isinstance(error, grpc.Call):
        return str(error)
    if error.code() is grpc.StatusCode.NOT_FOUND:
        return f"it has no service {service!r}"
    details = " ".join((error.details() or "").split())
    return f"{error.code().name}: {details}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks what the command line names; returns the exit code."""
    options = _parser().parse_args(arguments)
    roots = options.ca.read_bytes() if options.ca else None
    try:
        check(
            options.address,
            service=options.service,
            timeout_seconds=options.timeout,
            root_certificates=roots,
        )
    except UnhealthyError as error:
        sys.stderr.write(f"sendwise: {error}\n")
        return 1
    sys.stdout.write(f"sendwise: {options.address} is serving\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m server.health", description=__doc__)
    parser.add_argument("address", nargs="?", default=DEFAULT_ADDRESS, help="host:port")
    parser.add_argument("--service", default="", help="full name; by default the whole server")
    parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT_SECONDS, help="seconds")
    parser.add_argument("--ca", type=Path, help="PEM of the authority, if TLS stands before it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
