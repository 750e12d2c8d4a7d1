"""`sendwise serve` with real workers, end to end; and what keeps it from starting."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from decisionlog import DecisionLog, load_keys, ring_file
from policy.registry import Registry
from replay.ledger import ledger
from replay.verify import Sought, verify
from sendwise.v1 import decision_service_pb2 as decision_api
from sendwise.v1 import feedback_service_pb2 as feedback_api
from sendwise.v1 import policy_service_pb2 as policy_api
from sendwise.v1.decision_service_pb2_grpc import DecisionServiceStub
from sendwise.v1.feedback_service_pb2_grpc import FeedbackServiceStub
from sendwise.v1.policy_service_pb2_grpc import PolicyServiceStub
from tests.server.process import COMMAND, ENVIRONMENT, ROOT, serving
from tests.server.service import delivery, request, reward
from tests.shop import CATALOG, shop

SERVICES = {
    "sendwise.v1.DecisionService",
    "sendwise.v1.FeedbackService",
    "sendwise.v1.PolicyService",
}


CAPPED = """\
schema = 1
name = "capped"
[channels.email]
[offers.spring]
channels = ["email"]
[offers.loyal]
channels = ["email"]
[send_times]
windows = 24
[reward]
weights = { visit = 1.0 }
"""


def channels(address: str, count: int = 4) -> list[grpc.Channel]:
    """Connections of their own, so that more than one worker has some."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    return [grpc.insecure_channel(address, options) for _ in range(count)]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_the_loop_end_to_end(tmp_path: Path) -> None:
    """Two workers share one log: what one decides the other takes reports on, and all adds up."""
    with serving(tmp_path, "--workers", "2") as server:
        address = server.address()
        connections = channels(address)
        decided = [
            DecisionServiceStub(connections[turn % 4]).Decide(
                request(str(turn), request_id=str(turn))
            )
            for turn in range(40)
        ]
        for turn, answer in enumerate(decided):
            feedback = FeedbackServiceStub(connections[(turn + 1) % 4])
            taken = feedback.ReportDelivery(delivery(answer.decision_id))
            assert taken.outcome == feedback_api.REPORT_OUTCOME_ACCEPTED
            feedback.ReportReward(reward(answer.decision_id))
            stub = DecisionServiceStub(connections[(turn + 2) % 4])
            again = stub.Decide(request(str(turn), request_id=str(turn)))
            assert (again.decision_id, again.repeated) == (answer.decision_id, True)
            explained = PolicyServiceStub(connections[turn % 4]).Explain(
                policy_api.ExplainRequest(decision_id=answer.decision_id)
            )
            assert explained.exact
        assert len(server.workers()) == 2
        assert server.stop() == 0
        assert server.process.stdout is not None
        assert server.process.stdout.read() == "", "it says more than its one line"
    keys = load_keys(tmp_path / "data.key", data_directory=tmp_path / "data")
    with DecisionLog.open(tmp_path / "data", keys=keys, read_only=True) as log:
        assert verify(Sought(log, Registry(tmp_path / "data"))).exact == 40
        found = ledger(log, shop().reward)
    assert found.balanced
    assert (found.decided, found.delivered, found.joined) == (40, 40, 40)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_a_cap_holds_over_processes(tmp_path: Path) -> None:
    """Two workers, 64 requests at once for a customer with a cap of three: three sends exactly."""
    catalog = f"{CAPPED}[[caps]]\nmessages = 3\ndays = 7\n"
    with serving(tmp_path, "--workers", "2", catalog=catalog) as server:
        stubs = [DecisionServiceStub(channel) for channel in channels(server.address(), 8)]
        with ThreadPoolExecutor(64) as pool:
            answers = list(pool.map(lambda turn: stubs[turn % 8].Decide(request()), range(64)))
        assert server.stop() == 0
    assert sum(answer.HasField("send") for answer in answers) == 3
    keys = load_keys(tmp_path / "data.key", data_directory=tmp_path / "data")
    with DecisionLog.open(tmp_path / "data", keys=keys, read_only=True) as log:
        assert len(log.standing(keys.pseudonym("alice")).contacts) == 3
        assert verify(Sought(log, Registry(tmp_path / "data"))).exact == 64


def test_an_encrypted_log_gets_another_key_while_it_serves(tmp_path: Path) -> None:
    """Calls go on before, between and after; at the end no record needs the old key."""
    data, ring = tmp_path / "data", tmp_path / "data.ring"
    rekey = [*COMMAND, "rekey", "--new-key", "--data", str(data)]
    with serving(tmp_path, "--workers", "1") as server:
        (channel,) = channels(server.address(), 1)
        decided = []
        for turn in range(3):
            decided.append(DecisionServiceStub(channel).Decide(request(f"subject-{turn}")))
            FeedbackServiceStub(channel).ReportReward(reward(decided[-1].decision_id))
            if turn < 2:
                subprocess.run(rekey, check=True, env=ENVIRONMENT, cwd=ROOT)
        for answer in decided:
            asked = policy_api.ExplainRequest(decision_id=answer.decision_id)
            assert PolicyServiceStub(channel).Explain(asked).exact
        assert server.stop() == 0
    ring.write_text(ring.read_text().splitlines()[1] + "\n")
    source = ring_file(ring, data_directory=data)
    with DecisionLog.open(data, keys=None, read_only=True, key_ring=source) as log:
        assert verify(Sought(log, Registry(data))).exact == 3
        assert ledger(log, shop().reward).balanced


def test_health_and_reflection(tmp_path: Path) -> None:
    """Both standard services answer for all of ours, and a client can discover every method."""
    with serving(tmp_path, "--workers", "1") as server:
        (channel,) = channels(server.address(), 1)
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", *SERVICES):
            found = health.Check(health_pb2.HealthCheckRequest(service=service))
            assert found.status == health_pb2.HealthCheckResponse.SERVING
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        (answer,) = stub.ServerReflectionInfo(iter([asked]))
        names = {service.name for service in answer.list_services_response.service}
        assert names > SERVICES
        assert "grpc.health.v1.Health" in names


def stream(requests: "SimpleQueue[str | None]") -> Iterator[decision_api.StreamDecideRequest]:
    """Requests as they are put; None ends them."""
    while (subject := requests.get()) is not None:
        yield decision_api.StreamDecideRequest(request=request(subject))


def test_a_stop_lets_calls_in_flight_finish(tmp_path: Path) -> None:
    """After SIGTERM a stream that was open goes on to its end; then the server ends with 0."""
    requests: SimpleQueue[str | None] = SimpleQueue()
    with serving(tmp_path, "--workers", "1", "--grace-seconds", "30") as server:
        (channel,) = channels(server.address(), 1)
        answers = DecisionServiceStub(channel).StreamDecide(stream(requests))
        requests.put("alice")
        assert next(answers).result.HasField("response")
        server.process.send_signal(signal.SIGTERM)
        requests.put("bob")
        bob = next(answers).result.response
        requests.put(None)
        assert list(answers) == []
        assert server.ended() == 0
    with DecisionLog.open(tmp_path / "data", keys=None, read_only=True) as log:
        assert log.counts().decisions == 2
        assert bob.decision_id


def refusal(directory: Path, *options: str, catalog: str | None = CATALOG) -> str:
    """What a server says that does not start; it must end with 1, and say nothing else."""
    with serving(directory, *options, catalog=catalog) as server:
        assert server.ended() == 1
        assert server.process.stdout is not None
        assert server.process.stdout.read() == ""
        return server.errors()


def test_a_directory_has_one_server(tmp_path: Path) -> None:
    """A second one is refused in one line with the pid of the first, which goes on."""
    with serving(tmp_path, "--workers", "1") as server:
        address = server.address()
        (tmp_path / "other").mkdir()
        said = refusal(tmp_path / "other", "--data", str(tmp_path / "data"))
        assert said == (
            f"sendwise: {tmp_path}/data is served by the process {server.process.pid}: stop it "
            "first, or give each server a directory of its own\n"
        )
        (channel,) = channels(address, 1)
        assert DecisionServiceStub(channel).Decide(request()).decision_id


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """One line that names the port."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        said = refusal(tmp_path, "--port", port)
    assert said.startswith(f"sendwise: cannot listen on 127.0.0.1:{port}: Address already in use")
    assert said.count("\n") == 1


def test_an_invalid_catalog_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its problems with their lines; no key, no log and no rollout was made."""
    said = refusal(tmp_path, catalog=CATALOG.replace('["email"]', '["fax"]'))
    assert said.startswith(f"sendwise: {tmp_path}/catalog.toml is not a valid catalog:\n")
    assert "'fax' is not among [channels]" in said
    assert not (tmp_path / "data.key").exists()
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["server.lock"]


def test_no_catalog_at_all(tmp_path: Path) -> None:
    """A new directory needs one, and the line says how to give it."""
    said = refusal(tmp_path, catalog=None)
    assert said.endswith("no catalog is in force yet: give one with --catalog\n")
    assert said.count("\n") == 1


@pytest.fixture
def served_before(tmp_path: Path) -> Path:
    """A directory with a log, under a key beside it."""
    with serving(tmp_path, "--workers", "1") as server:
        server.address()
        assert server.stop() == 0
    return tmp_path


def test_a_log_without_its_key_changes_nothing(served_before: Path) -> None:
    """The key is not made anew, and the catalog that was given does not come into force."""
    key = (served_before / "data.key").read_text()
    (served_before / "data.key").unlink()
    rollout = (served_before / "data/rollout.json").read_bytes()
    said = refusal(served_before, catalog=CATALOG.replace("19.5", "20.5"))
    assert said.startswith(f"sendwise: the key file {served_before}/data.key cannot be used: ")
    assert said.count("\n") == 1
    assert not (served_before / "data.key").exists()
    assert (served_before / "data/rollout.json").read_bytes() == rollout
    other = served_before / "other.key"
    other.touch(mode=0o600)
    other.write_text("5e0d" * 16)
    said = refusal(served_before, "--key-file", str(other))
    assert "give the key file that it was begun with" in said
    assert said.count("\n") == 1
    assert key.strip() not in said


def test_a_catalog_stays_in_force(served_before: Path) -> None:
    """A restart without --catalog keeps it, and the key with it."""
    with serving(served_before, "--workers", "1", catalog=None) as server:
        (channel,) = channels(server.address(), 1)
        assert DecisionServiceStub(channel).Decide(request()).catalog_version == shop().version


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "0"], "--workers: must be at least 1 (it is 0)"),
        (["--port", "70000"], "--port: must be at most 65,535 (it is 70000)"),
        (["--trace-ratio", "0.5"], "--trace-ratio: needs --otlp-endpoint"),
    ],
)
def test_a_wrong_setting(tmp_path: Path, options: list[str], said: str) -> None:
    """One line that names it; nothing is made."""
    errors = refusal(tmp_path, *options)
    assert errors.startswith(f"sendwise: {said}")
    assert errors.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("content", "problem"), [(None, "cannot be read"), ("\n", "has no token")])
def test_a_useless_token_file(tmp_path: Path, content: str | None, problem: str) -> None:
    """It is refused in one line before any worker starts, not by each worker five times."""
    file = tmp_path / "tokens"
    if content is not None:
        file.write_text(content)
    errors = refusal(tmp_path, "--token-file", str(file))
    assert errors.startswith(f"sendwise: --token-file: {problem}")
    assert errors.count("\n") == 1


def test_tokens_are_asked_for(tmp_path: Path) -> None:
    """A server with a token file lets only those in who bring one of its tokens."""
    file = tmp_path / "tokens"
    file.write_text("one\ntwo\n")
    with serving(tmp_path, "--workers", "1", "--token-file", str(file)) as server:
        (channel,) = channels(server.address(), 1)
        stub = DecisionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Decide(request())
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert stub.Decide(request(), metadata=(("authorization", "Bearer two"),)).decision_id
