"""Deliveries and rewards over a real socket: taken once, kept whatever they are about."""

import grpc
import pytest

from decisionlog import Delivery, DeliveryStatus, Reward
from decisionlog.ids import from_text
from sendwise.v1 import common_pb2 as common
from sendwise.v1 import feedback_service_pb2 as feedback_api
from tests.server.service import Service, delivery, nothing_stored, refusal_of, refused, reward
from tests.shop import START_MS

UNKNOWN = "0199a1b2-c3d4-7e5f-8123-456789abcdef"
ACCEPTED = feedback_api.REPORT_OUTCOME_ACCEPTED
REPEATED = feedback_api.REPORT_OUTCOME_REPEATED
UNMATCHED = feedback_api.REPORT_OUTCOME_UNMATCHED


def deliveries_of(service: Service, decision_id: str) -> tuple[Delivery, ...]:
    """What the log holds of a decision's deliveries."""
    (found,) = (
        one for one in service.log.scan() if one.decision.decision_id == from_text(decision_id)
    )
    return found.deliveries


def rewards_of(service: Service, decision_id: str) -> tuple[Reward, ...]:
    """What the log holds of a decision's rewards."""
    (found,) = (
        one for one in service.log.scan() if one.decision.decision_id == from_text(decision_id)
    )
    return found.rewards


def test_a_delivery_is_stored_as_reported(service: Service) -> None:
    """Every field reaches the log; the time of receipt is the server's."""
    decision_id = service.decide().decision_id
    report = delivery(decision_id, feedback_api.DELIVERY_STATUS_OVERRIDDEN, detail="by hand")
    report.occurred_at.FromMilliseconds(START_MS + 10)
    report.actual.offer, report.actual.channel = "loyal", "email"
    report.actual.send_time.FromMilliseconds(START_MS + 5)
    service.clock.now_ms += 20
    assert service.feedback.ReportDelivery(report).outcome == ACCEPTED
    assert deliveries_of(service, decision_id) == (
        Delivery(
            decision_id=from_text(decision_id),
            delivery_id="d-1",
            status=DeliveryStatus.OVERRIDDEN,
            occurred_at_ms=START_MS + 10,
            received_at_ms=START_MS + 20,
            actual_offer="loyal",
            actual_channel="email",
            actual_send_time_ms=START_MS + 5,
            detail="by hand",
        ),
    )


@pytest.mark.parametrize(
    "status", [DeliveryStatus.SENT, DeliveryStatus.FAILED, DeliveryStatus.SUPPRESSED]
)
def test_without_a_time_it_happened_now(service: Service, status: DeliveryStatus) -> None:
    """A report that says no time is stamped on receipt."""
    decision_id = service.decide().decision_id
    service.clock.now_ms += 30
    service.feedback.ReportDelivery(delivery(decision_id, status))
    (stored,) = deliveries_of(service, decision_id)
    assert (stored.status, stored.occurred_at_ms) == (status, START_MS + 30)


def test_a_reward_is_stored_as_reported(service: Service) -> None:
    """Every field reaches the log, under any name, before any delivery."""
    decision_id = service.decide().decision_id
    report = reward(decision_id, reward_id="order-9", name="une commande", value=-29.99)
    report.occurred_at.FromMilliseconds(START_MS + 10)
    service.clock.now_ms += 20
    assert service.feedback.ReportReward(report).outcome == ACCEPTED
    assert rewards_of(service, decision_id) == (
        Reward(
            decision_id=from_text(decision_id),
            reward_id="order-9",
            name="une commande",
            value=-29.99,
            occurred_at_ms=START_MS + 10,
            received_at_ms=START_MS + 20,
        ),
    )


def test_a_repeated_delivery_changes_nothing(service: Service) -> None:
    """The same report again is counted, also when both were stamped on receipt."""
    report = delivery(service.decide().decision_id)
    service.feedback.ReportDelivery(report)
    service.clock.now_ms += 1000
    assert service.feedback.ReportDelivery(report).outcome == REPEATED
    counts = service.log.counts()
    assert (counts.deliveries, counts.deliveries_repeated) == (1, 1)


def test_a_repeated_reward_changes_nothing(service: Service) -> None:
    """The same reward again is counted, also when both were stamped on receipt."""
    report = reward(service.decide().decision_id)
    service.feedback.ReportReward(report)
    service.clock.now_ms += 1000
    assert service.feedback.ReportReward(report).outcome == REPEATED
    counts = service.log.counts()
    assert (counts.rewards, counts.rewards_repeated) == (1, 1)


def test_a_reused_delivery_id_is_refused(service: Service) -> None:
    """Another report under the id of an earlier one: ALREADY_EXISTS; the first stays."""
    decision_id = service.decide().decision_id
    service.feedback.ReportDelivery(delivery(decision_id))
    other = delivery(decision_id, feedback_api.DELIVERY_STATUS_FAILED)
    with nothing_stored(service.log):
        found = refused(lambda: service.feedback.ReportDelivery(other))
    assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "DELIVERY_ID_REUSED")
    assert found.metadata == {"decision_id": decision_id, "delivery_id": "d-1"}
    assert deliveries_of(service, decision_id)[0].status is DeliveryStatus.SENT


def test_a_reused_reward_id_is_refused(service: Service) -> None:
    """Another reward under the id of an earlier one: ALREADY_EXISTS; the first stays."""
    decision_id = service.decide().decision_id
    service.feedback.ReportReward(reward(decision_id))
    with nothing_stored(service.log):
        found = refused(lambda: service.feedback.ReportReward(reward(decision_id, value=2.0)))
    assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REWARD_ID_REUSED")
    assert found.metadata == {"decision_id": decision_id, "reward_id": "r-1"}
    assert rewards_of(service, decision_id)[0].value == 1.0


def test_reports_on_unknown_decisions_are_kept(service: Service) -> None:
    """They are stored and said to be unmatched; the second time they are repeats."""
    assert service.feedback.ReportDelivery(delivery(UNKNOWN)).outcome == UNMATCHED
    assert service.feedback.ReportReward(reward(UNKNOWN)).outcome == UNMATCHED
    assert service.feedback.ReportReward(reward(UNKNOWN)).outcome == REPEATED
    kinds = [type(orphan) for orphan in service.log.orphans()]
    assert kinds == [Delivery, Reward]


def test_an_id_may_be_written_in_capitals(service: Service) -> None:
    """UUIDs are the same in either case."""
    decision_id = service.decide().decision_id
    assert service.feedback.ReportReward(reward(decision_id.upper())).outcome == ACCEPTED


def test_a_batch_of_rewards_answers_in_order(service: Service) -> None:
    """Good and bad rewards mixed: each has its outcome or its error, and the good are stored."""
    decision_id = service.decide().decision_id
    rewards = [
        reward(decision_id, reward_id="a"),
        reward(decision_id, reward_id="b", value=float("nan")),
        reward(UNKNOWN, reward_id="c"),
        reward(decision_id, reward_id="a"),
        reward(decision_id, reward_id="a", name="spend"),
        reward("no id", reward_id="d"),
        reward(decision_id, reward_id="e", name="spend"),
    ]
    answer = service.feedback.BatchReportRewards(
        feedback_api.BatchReportRewardsRequest(rewards=rewards)
    )
    shown = [
        result.response.outcome if result.HasField("response") else refusal_of(result.error).reason
        for result in answer.results
    ]
    assert shown == [
        ACCEPTED,
        "INVALID_FIELD",
        UNMATCHED,
        REPEATED,
        "REWARD_ID_REUSED",
        "INVALID_FIELD",
        ACCEPTED,
    ]
    assert {one.reward_id for one in rewards_of(service, decision_id)} == {"a", "e"}


def test_a_batch_of_bad_rewards_stores_nothing(service: Service) -> None:
    """Each gets its error."""
    rewards = [reward(UNKNOWN, name=""), reward(UNKNOWN, reward_id="")]
    message = feedback_api.BatchReportRewardsRequest(rewards=rewards)
    with nothing_stored(service.log):
        answer = service.feedback.BatchReportRewards(message)
    fields = [refusal_of(result.error).metadata["field"] for result in answer.results]
    assert fields == ["name", "reward_id"]


@pytest.mark.parametrize("size", [0, 1001])
def test_other_sizes_of_a_batch_are_refused(service: Service, size: int) -> None:
    """Nothing of an empty or too large batch is stored."""
    message = feedback_api.BatchReportRewardsRequest(rewards=[reward(UNKNOWN)] * size)
    with nothing_stored(service.log):
        found = refused(lambda: service.feedback.BatchReportRewards(message))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_SIZE")
    assert found.metadata == {"size": str(size), "maximum": "1000"}


def bad_deliveries() -> dict[str, feedback_api.ReportDeliveryRequest]:
    """Deliveries that cannot be taken, by the field that is wrong."""
    overridden = feedback_api.DELIVERY_STATUS_OVERRIDDEN
    send = common.Send(offer="loyal", channel="email")
    far = delivery(UNKNOWN)
    far.occurred_at.seconds = 253_402_300_800
    early = delivery(UNKNOWN)
    early.occurred_at.seconds = -1
    odd = delivery(UNKNOWN, overridden, actual=send)
    odd.actual.send_time.nanos = -1
    never = delivery(UNKNOWN, overridden, actual=send)
    never.actual.send_time.seconds = 253_000_000_000
    return {
        "decision_id none": delivery(""),
        "decision_id no uuid": delivery("spring"),
        "decision_id another version": delivery("0199a1b2-c3d4-4e5f-8123-456789abcdef"),
        "decision_id without dashes": delivery(UNKNOWN.replace("-", "")),
        "decision_id long": delivery("a" * 1_000_000),
        "delivery_id empty": delivery(UNKNOWN, delivery_id=""),
        "delivery_id long": delivery(UNKNOWN, delivery_id="é" * 65),
        "status none": delivery(UNKNOWN, feedback_api.DELIVERY_STATUS_UNSPECIFIED),
        "status unknown": delivery(UNKNOWN, 99),
        "occurred_at late": far,
        "occurred_at early": early,
        "actual missing": delivery(UNKNOWN, overridden),
        "actual beside": delivery(UNKNOWN, actual=send),
        "actual.offer empty": delivery(UNKNOWN, overridden, actual=common.Send(channel="email")),
        "actual.channel empty": delivery(UNKNOWN, overridden, actual=common.Send(offer="loyal")),
        "actual.send_time odd": odd,
        "actual.send_time far": never,
        "detail long": delivery(UNKNOWN, detail="x" * 257),
    }


@pytest.mark.parametrize("case", bad_deliveries())
def test_a_bad_delivery_is_refused(service: Service, case: str) -> None:
    """INVALID_FIELD names the field, as a violation too; nothing is stored."""
    field = case.split(maxsplit=1)[0]
    with nothing_stored(service.log):
        found = refused(lambda: service.feedback.ReportDelivery(bad_deliveries()[case]))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert found.metadata["field"] == field
    assert found.fields == {field: found.metadata["problem"]}


def bad_rewards() -> dict[str, feedback_api.ReportRewardRequest]:
    """Rewards that cannot be taken, by the field that is wrong."""
    early = reward(UNKNOWN)
    early.occurred_at.seconds = -62_135_596_800
    odd = reward(UNKNOWN)
    odd.occurred_at.nanos = 1_000_000_000
    return {
        "decision_id none": reward(""),
        "decision_id newline": reward(f"{UNKNOWN}\n"),
        "reward_id empty": reward(UNKNOWN, reward_id=""),
        "reward_id long": reward(UNKNOWN, reward_id="x" * 129),
        "name empty": reward(UNKNOWN, name=""),
        "name long": reward(UNKNOWN, name="x" * 129),
        "value nan": reward(UNKNOWN, value=float("nan")),
        "value infinite": reward(UNKNOWN, value=float("-inf")),
        "value large": reward(UNKNOWN, value=1.1e9),
        "occurred_at early": early,
        "occurred_at odd": odd,
    }


@pytest.mark.parametrize("case", bad_rewards())
def test_a_bad_reward_is_refused(service: Service, case: str) -> None:
    """INVALID_FIELD names the field, as a violation too; nothing is stored."""
    field = case.split(maxsplit=1)[0]
    with nothing_stored(service.log):
        found = refused(lambda: service.feedback.ReportReward(bad_rewards()[case]))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert found.metadata["field"] == field
    assert found.fields == {field: found.metadata["problem"]}
