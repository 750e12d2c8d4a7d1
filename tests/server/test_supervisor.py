"""The supervisor over real child processes that stand in for workers."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVE_FAKE = Path(__file__).with_name("serve_fake.py")
WAIT_SECONDS = 60  # far beyond what anything here takes: only a hang gets there


class Server:
    """A supervisor in a process of its own."""

    def __init__(self, data_dir: Path, manner: str, only: int | None, **options: float) -> None:
        self.data_dir = data_dir
        limits = {"start_seconds_max": options.pop("start_seconds_max", 60.0)}
        limits["margin_seconds"] = options.pop("margin_seconds", 3.0)
        settings: dict[str, object] = {"data_dir": str(data_dir)}
        settings |= {"key_file": str(data_dir.parent / "key"), "port": 0, "workers": 2} | options
        environment = os.environ | {"FAKE_WORKER": manner, "PYTHONPATH": str(ROOT)}
        if only is not None:
            environment["FAKE_WORKER_INDEX"] = str(only)
        self.process = subprocess.Popen(
            [sys.executable, str(SERVE_FAKE), json.dumps(settings), json.dumps(limits)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def line(self) -> str:
        """The next line of standard output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def diary(self, event: str) -> list[dict[str, Any]]:
        """What the workers wrote down of one kind of event."""
        path = self.data_dir / "diary"
        entries = map(json.loads, path.read_text().splitlines() if path.exists() else ())
        return [entry for entry in entries if entry["event"] == event]

    def pids(self) -> list[int]:
        """All workers that ever were."""
        return [entry["pid"] for entry in self.diary("start")]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and waits for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS)

    def errors(self) -> str:
        """All of standard error, once the process has ended."""
        assert self.process.stderr is not None
        self.process.wait(WAIT_SECONDS)
        return self.process.stderr.read()


StartServer = Callable[..., Server]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers, and ends what is left of them."""
    servers = []

    def start(
        manner: str = "good", *, only: int | None = None, data: str = "data", **options: float
    ) -> Server:
        servers.append(Server(tmp_path / data, manner, only, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.communicate()
        for pid in server.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def wait_until(what: str, holds: Callable[[], bool]) -> None:
    """Returns when something holds; fails if it never does."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody reaps counts as ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_one_line_says_where_it_serves(start_server: StartServer) -> None:
    """The line comes when all workers are ready; its port is theirs and takes connections."""
    server = start_server()
    match = re.fullmatch(r"sendwise: serving on 127\.0\.0\.1:(\d+) with 2 workers\n", server.line())
    assert match
    assert {entry["index"] for entry in server.diary("start")} == {0, 1}
    assert {entry["port"] for entry in server.diary("start")} == {int(match[1])}
    socket.create_connection(("127.0.0.1", int(match[1]))).close()
    server.stop()
    assert server.process.communicate()[0] == ""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_each_of_several_workers_has_its_core(start_server: StartServer) -> None:
    """Two workers on two cores share none."""
    server = start_server()
    server.line()
    first, second = (entry["cores"] for entry in server.diary("start"))
    assert len(first) == len(second) == 1
    assert first != second


def test_a_single_worker_may_use_all_cores(start_server: StartServer) -> None:
    """Pinning pays only where workers would hinder each other."""
    server = start_server(workers=1)
    assert server.line().endswith("with 1 worker\n")
    assert server.diary("start")[0]["cores"] == sorted(os.sched_getaffinity(0))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_in_order(start_server: StartServer, number: signal.Signals) -> None:
    """Every worker gets to its own end, and the exit code is 0."""
    server = start_server()
    server.line()
    assert server.stop(number) == 0
    assert {entry["index"] for entry in server.diary("stop")} == {0, 1}


def test_a_stop_while_starting_is_heard(start_server: StartServer) -> None:
    """SIGTERM before anyone is ready ends the server without its line."""
    server = start_server("stuck", grace_seconds=0.0, margin_seconds=0.2)
    wait_until("two starts", lambda: len(server.diary("start")) == 2)
    server.stop()
    assert server.line() == ""
    assert all(map(is_gone, server.pids()))


def test_a_worker_that_dies_is_started_again(start_server: StartServer) -> None:
    """The new one has the number of the old; the other worker is left alone."""
    server = start_server()
    server.line()
    victim = server.diary("start")[0]
    os.kill(victim["pid"], signal.SIGKILL)
    wait_until("a third start", lambda: len(server.diary("start")) == 3)
    assert server.diary("start")[2]["index"] == victim["index"]
    assert server.stop() == 0
    assert "ended with signal SIGKILL, starts again" in server.errors()
    assert len(server.diary("stop")) == 2


def test_a_worker_that_keeps_dying_is_given_up(start_server: StartServer) -> None:
    """Five early deaths end the server with an error that names the worker; the rest stop."""
    server = start_server("crash", only=1)
    assert server.process.wait(WAIT_SECONDS) == 1
    told = "worker 1 stopped 5 times in a row soon after its start, last with exit code 3"
    assert told in server.errors()
    assert [entry["index"] for entry in server.diary("start")].count(1) == 5
    assert all(map(is_gone, server.pids()))


def test_a_worker_with_wrong_settings_is_not_started_again(start_server: StartServer) -> None:
    """The exit code EX_CONFIG says that another start would not help."""
    server = start_server("config", workers=1)
    assert server.process.wait(WAIT_SECONDS) == 1
    assert "worker 0 stopped once" in server.errors()
    assert len(server.diary("start")) == 1


def test_a_worker_that_never_gets_ready_is_killed(start_server: StartServer) -> None:
    """Being stuck counts as an early death, so it cannot go on for ever."""
    server = start_server("stuck", workers=1, start_seconds_max=0.5)
    errors = server.errors()
    assert errors.count("was not ready in 0.5 s") == 5
    assert "last with signal SIGKILL" in errors


def test_a_worker_that_does_not_stop_is_killed(start_server: StartServer) -> None:
    """After the grace time the exit code 1 says that calls may have been lost."""
    server = start_server("deaf", only=0, grace_seconds=0.1, margin_seconds=0.1)
    server.line()
    assert server.stop() == 1
    assert "worker 0 did not stop in time and is killed" in server.errors()
    assert [entry["index"] for entry in server.diary("stop")] == [1]
    assert all(map(is_gone, server.pids()))


def test_a_second_signal_ends_it_at_once(start_server: StartServer) -> None:
    """Whoever asks twice does not wait for the grace time."""
    server = start_server("deaf", grace_seconds=3_000.0)
    server.line()
    server.process.send_signal(signal.SIGINT)
    time.sleep(0.2)  # two signals of one kind that wait together are one
    assert server.stop(signal.SIGINT) == 1
    assert all(map(is_gone, server.pids()))


def test_workers_do_not_outlive_a_killed_supervisor(start_server: StartServer) -> None:
    """The end of their standard input stops them in order."""
    server = start_server()
    server.line()
    server.stop(signal.SIGKILL)
    wait_until("the workers' end", lambda: all(map(is_gone, server.pids())))
    assert len(server.diary("stop")) == 2


def test_what_a_killed_server_left_is_waited_for(start_server: StartServer) -> None:
    """A server started right after a SIGKILL begins when the last old worker has gone."""
    first = start_server("slow_to_stop", grace_seconds=60.0)
    first.line()
    old = first.pids()
    first.stop(signal.SIGKILL)
    second = start_server(grace_seconds=60.0)
    assert "serving on" in second.line()
    assert all(map(is_gone, old))


def test_a_directory_has_one_server(start_server: StartServer) -> None:
    """The second one is refused with the pid of the first, which goes on."""
    first = start_server()
    first.line()
    second = start_server()
    assert second.process.wait(WAIT_SECONDS) == 1
    assert f"data is served by the process {first.process.pid}: stop it first" in second.errors()
    assert first.stop() == 0


def test_a_port_has_one_server(start_server: StartServer) -> None:
    """A second server on the port is refused, though SO_REUSEPORT would let it in."""
    first = start_server()
    port = int(first.line().split()[3].rpartition(":")[2])
    second = start_server(data="other", port=port)
    assert second.process.wait(WAIT_SECONDS) == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in second.errors()
    assert second.diary("start") == []


def test_what_workers_print_is_logged(start_server: StartServer) -> None:
    """A library's output is neither lost nor taken for `ready`, nor does it reach our stdout."""
    server = start_server("noisy", workers=1)
    assert "serving on" in server.line()
    server.stop()
    assert "worker 0 printed: hello from a library" in server.errors()


def test_the_supervisor_never_imports_grpc() -> None:
    """A process that has imported gRPC cannot start others safely."""
    code = "import sys, server.supervisor; print('grpc' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
