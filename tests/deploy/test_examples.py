"""The examples for operators, checked by the programs that they are for."""

import datetime as dt
import ipaddress
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from server.health import check
from server.serve_errors import UnhealthyError
from server.telemetry import TelemetrySettings, start
from tests.programs import require_program

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def replaced(text: str, changes: dict[str, str]) -> str:
    """The example with its own places instead of the example's; each must occur once."""
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def make_certificate(directory: Path) -> bytes:
    """Writes a certificate for the loopback address and its key; returns the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (directory / "certificate.pem").write_bytes(pem)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (directory / "key.pem").write_bytes(secret)
    return pem


class Proxy:
    """The example for nginx, in front of a server that has the health service alone."""

    def __init__(self, directory: Path) -> None:
        self.certificate = make_certificate(directory)
        self.server = grpc.server(ThreadPoolExecutor(2))
        checks = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(checks, self.server)
        checks.set("", health_pb2.HealthCheckResponse.SERVING)
        upstream = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        self.port = free_port()
        self.config = directory / "main.conf"
        self.config.write_text(self._config(directory, upstream))

    def _config(self, directory: Path, upstream: int) -> str:
        changes = {
            "127.0.0.1:50051": f"127.0.0.1:{upstream}",
            "listen 443": f"listen 127.0.0.1:{self.port}",
            "/etc/ssl/sendwise/certificate.pem": f"{directory}/certificate.pem",
            "/etc/ssl/sendwise/key.pem": f"{directory}/key.pem",
        }
        example = replaced((DEPLOY / "nginx.conf").read_text(), changes)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        scratch = "\n".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
        return (
            f"daemon off; pid {directory}/pid; error_log stderr;\n"
            f"events {{}}\nhttp {{ access_log off;\n{scratch}\n{example} }}\n"
        )

    def address(self) -> str:
        """Where it takes calls."""
        return f"127.0.0.1:{self.port}"


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """A running nginx."""
    nginx = require_program("nginx")
    one = Proxy(tmp_path)
    command = [str(nginx), "-p", str(tmp_path), "-c", str(one.config)]
    tested = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stderr
    assert "[warn]" not in tested.stderr
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    yield one
    process.terminate()
    process.communicate()
    one.server.stop(None)


def test_nginx_takes_calls_over_tls(proxy: Proxy) -> None:
    """The health check passes through it, if its certificate is trusted."""
    channel_ready(proxy)
    check(proxy.address(), root_certificates=proxy.certificate, timeout_seconds=30)


def test_behind_nginx_a_missing_service_is_unavailable(proxy: Proxy) -> None:
    """A client sees the status that it tries again on, and not an error page."""
    channel_ready(proxy)
    proxy.server.stop(None).wait()
    with pytest.raises(UnhealthyError, match="UNAVAILABLE: the service is not reachable"):
        check(proxy.address(), root_certificates=proxy.certificate, timeout_seconds=30)


def channel_ready(proxy: Proxy) -> None:
    """Waits until nginx listens."""
    credentials = grpc.ssl_channel_credentials(proxy.certificate)
    with grpc.secure_channel(proxy.address(), credentials) as channel:
        grpc.channel_ready_future(channel).result(timeout=30)


def test_prometheus_accepts_its_example() -> None:
    """By its own checker."""
    promtool = require_program("promtool")
    done = subprocess.run(
        [promtool, "check", "config", DEPLOY / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_series_in_the_readme_are_those_that_the_service_has() -> None:
    """Both ways: all that are told of exist, and all that exist are told of."""
    told = set(re.findall(r"^\| `([a-z_]+)` \|", (DEPLOY / "README.md").read_text(), re.MULTILINE))
    assert told == {name for name, kind in served_series() if kind != "info"} - {"target_info"}


def served_series() -> list[tuple[str, str]]:
    """Name and type of all that one worker's page holds."""
    port = free_port()
    telemetry = start(TelemetrySettings(metrics_port=port))
    telemetry.decided("champion")
    telemetry.committed(0.001, 1)
    with telemetry.call("a/b", NoCaller()):
        pass
    with urlopen(f"http://127.0.0.1:{port}/metrics") as page:
        text = page.read().decode()
    telemetry.close()
    return re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)


class NoCaller:
    """The context of a call without metadata."""

    def invocation_metadata(self) -> None:
        """Nothing came."""


def test_systemd_accepts_its_example(tmp_path: Path) -> None:
    """By its own checker; the program's place is this Python's, since that must exist."""
    systemd = require_program("systemd-analyze")
    unit = (DEPLOY / "sendwise.service").read_text()
    unit = replaced(unit, {"/opt/sendwise/bin/sendwise": sys.executable})
    (tmp_path / "sendwise.service").write_text(unit)
    done = subprocess.run(
        [systemd, "verify", "--man=no", tmp_path / "sendwise.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    problems = [line for line in done.stderr.splitlines() if "sendwise.service" in line]
    assert not problems
    assert done.returncode == 0, done.stderr
