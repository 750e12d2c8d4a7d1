"""A real server whose disk runs full: it refuses by its reason, keeps what it has, and goes on."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import grpc
import pytest

from decisionlog import DecisionLog, load_keys
from decisionlog.checking import Finding, check
from decisionlog.ids import to_text
from policy.registry import Registry
from replay.ledger import ledger
from replay.verify import Sought, verify
from sendwise.v1.decision_service_pb2_grpc import DecisionServiceStub
from sendwise.v1.feedback_service_pb2_grpc import FeedbackServiceStub
from tests.server.process import ServerProcess, serving
from tests.server.service import delivery, refused, request, reward
from tests.shop import shop

BALLAST_BYTES = 512 * 1024
MANY = 10_000
FULL = (grpc.StatusCode.RESOURCE_EXHAUSTED, "LOG_FULL")


@pytest.fixture
def server(small_disk: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    """Yield a server whose data is alone on a small disk, but for what can be removed later."""
    (tmp_path / "data").symlink_to(small_disk)
    (small_disk / "ballast").write_bytes(bytes(BALLAST_BYTES))
    with serving(tmp_path, "--workers", "1") as found:
        yield found


def until_full(call: Callable[[int], object]) -> int:
    """Call with one number after the other until it is refused; return how many were taken."""
    taken = iter(count())

    def go_on() -> None:
        for number in taken:
            assert number < MANY, "the disk does not run full"
            call(number)

    found = refused(go_on)
    assert (found.code, found.reason) == FULL
    return next(taken) - 1


def test_a_server_on_a_full_disk_refuses_and_then_goes_on(
    server: ServerProcess, small_disk: Path, tmp_path: Path
) -> None:
    """Decisions, deliveries and rewards are refused whole; all that was acknowledged is there.

    Meanwhile earlier answers are repeated. As soon as there is room, the same calls are taken.
    """
    with grpc.insecure_channel(server.address()) as channel:
        decisions, feedback = DecisionServiceStub(channel), FeedbackServiceStub(channel)
        answers: list[str] = []

        def decide(number: int) -> None:
            answer = decisions.Decide(request(f"c{number}", request_id=str(number)))
            answers.append(answer.decision_id)

        def deliver(number: int) -> None:
            feedback.ReportDelivery(delivery(answers[0], delivery_id=str(number)))

        def respond(number: int) -> None:
            feedback.ReportReward(reward(answers[0], reward_id=str(number)))

        refusals = [until_full(each) for each in (decide, deliver, respond)]
        again = decisions.Decide(request("c0", request_id="0"))
        assert (again.decision_id, again.repeated) == (answers[0], True)
        (small_disk / "ballast").unlink()
        for call, number in zip((decide, deliver, respond), refusals, strict=True):
            call(number)
    assert server.stop() == 0
    keys = load_keys(tmp_path / "data.key", data_directory=tmp_path / "data")
    with DecisionLog.open(small_disk, keys=keys) as log:
        logged = list(log.scan())
        assert [to_text(each.decision.decision_id) for each in logged] == answers
        _, deliveries, rewards = (range(number + 1) for number in refusals)
        assert {each.delivery_id for each in logged[0].deliveries} == set(map(str, deliveries))
        assert {each.reward_id for each in logged[0].rewards} == set(map(str, rewards))
        assert_sound(log, Registry(small_disk))


def assert_sound(log: DecisionLog, registry: Registry) -> None:
    """Hold that nothing is there in part: counts, ledger, pages, rows and probabilities agree."""
    assert log.counts().decisions == log.counts().requests
    assert ledger(log, shop().reward).balanced
    findings: list[Finding] = []
    check(log.store, findings.append)
    assert findings == []
    found = verify(Sought(log, registry))
    assert found.exact == found.decisions == log.counts().decisions
