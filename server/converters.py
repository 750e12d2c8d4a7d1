"""Between the wire's messages and our own values; checks what every message must have."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import blake2b
from typing import NoReturn

from google.protobuf.timestamp_pb2 import Timestamp

from decisionlog import Decision, Delivery, DeliveryStatus, Reward
from decisionlog.contacts import STANDING_DAYS
from decisionlog.ids import from_text, to_text
from policy.errors import RequestError
from policy.explain import StageExplanation
from policy.features import CATEGORY_BYTES_MAX, NUMBER_MAX, Features, FeatureValue
from policy.request import Request
from policy.rollout import Arm as RolloutArm
from policy.rollout import ArmShare, Rollout
from policy.situation import Grid, bits
from sendwise.v1 import common_pb2 as common
from sendwise.v1 import decision_service_pb2 as decision_api
from sendwise.v1 import feedback_service_pb2 as feedback_api
from sendwise.v1 import policy_service_pb2 as policy_api
from server.asks import Answer, Ask

SUBJECT_BYTES_MAX = 256
ID_BYTES_MAX = 128
DETAIL_BYTES_MAX = 256
LIST_MAX = 10_000
# Alone they fit into a record of the log, which takes 4 MiB. With a very large eligible set they
# may not: the log refuses such a decision, and its request gets an error.
OFFER_FEATURES_MAX = 8_192
_ARMS = {int(arm) for arm in RolloutArm}
_DELIVERY_STATUSES = {int(status) for status in DeliveryStatus}
_MS_PER_DAY = 86_400_000
_NANOS_PER_MS = 1_000_000
_NANOS_PER_SECOND = 1_000_000_000
_SECONDS_MAX = 253_402_300_799  # the last second of the year 9999, as Timestamp has it


def ask_of(message: decision_api.DecideRequest) -> Ask:
    """A request from the wire.

    Raises:
        RequestError: INVALID_FIELD; what only the catalog can tell is checked later.
    """
    subject_of(message.subject_id)
    if message.request_id:
        _check_text("request_id", message.request_id, ID_BYTES_MAX)
    return Ask(
        subject_id=message.subject_id,
        request_id=message.request_id,
        digest=_digest(message),
        explain=message.explain,
        request=partial(
            Request,
            time_zone=message.time_zone,
            features=_features(message.features, "features"),
            offer_features=_offer_features(message.offer_features),
            eligible_offers=_names("eligible_offers", message.eligible_offers),
            excluded_offers=_names("excluded_offers", message.excluded_offers),
            eligible_channels=_names("eligible_channels", message.eligible_channels),
            excluded_channels=_names("excluded_channels", message.excluded_channels),
            granted_consents=frozenset(_names("granted_consents", message.granted_consents)),
            earliest_ms=_ms(message.earliest_send_time, "earliest_send_time")
            if message.HasField("earliest_send_time")
            else None,
            latest_ms=_ms(message.latest_send_time, "latest_send_time")
            if message.HasField("latest_send_time")
            else None,
            critical=_is_critical(message.priority),
        ),
    )


def subject_of(subject_id: str) -> str:
    """A subject's id from the wire.

    Raises:
        RequestError: INVALID_FIELD.
    """
    _check_text("subject_id", subject_id, SUBJECT_BYTES_MAX)
    return subject_id


def timestamp_of(at_ms: int) -> Timestamp:
    """A Unix time for the wire."""
    return _timestamp(at_ms)


def response_of(answer: Answer) -> decision_api.DecideResponse:
    """An answer for the wire."""
    decision = answer.decision
    response = decision_api.DecideResponse(
        decision_id=to_text(decision.decision_id),
        action_probability=decision.action_probability,
        stage_probabilities=_stage_probabilities(decision),
        policy_version=decision.policy_version,
        catalog_version=decision.catalog_version,
        arm=common.Arm.ValueType(decision.arm),
        repeated=answer.repeated,
        features_dropped=answer.features_dropped,
    )
    if decision.no_send_reason:
        response.no_send.reason = common.NoSendReason.ValueType(decision.no_send_reason)
    else:
        response.send.CopyFrom(_send(decision))
    if answer.explanation:
        response.explanation.CopyFrom(explanation_of(answer.explanation))
    for found in answer.suppressions:
        reason = common.SuppressionReason.ValueType(found.reason)
        response.suppressions.add(offer=found.offer, channel=found.channel, reason=reason)
    return response


def explanation_of(stages: Sequence[StageExplanation]) -> common.Explanation:
    """An explanation for the wire."""
    return common.Explanation(
        stages=[
            common.StageExplanation(
                stage=stage.stage.label,
                draw=stage.draw,
                actions=[
                    common.ActionExplanation(
                        name=action.name, value=action.value, probability=action.probability
                    )
                    for action in stage.actions
                ],
            )
            for stage in stages
        ]
    )


def delivery_of(message: feedback_api.ReportDeliveryRequest, now_ms: int) -> Delivery:
    """A delivery from the wire.

    Raises:
        RequestError: INVALID_FIELD.
        MalformedDecisionId: if the decision id is none.
    """
    _check_text("delivery_id", message.delivery_id, ID_BYTES_MAX)
    if len(message.detail.encode()) > DETAIL_BYTES_MAX:
        _refuse("detail", f"has more than {DETAIL_BYTES_MAX} bytes")
    status = _delivery_status(message)
    return Delivery(
        decision_id=from_text(message.decision_id),
        delivery_id=message.delivery_id,
        status=status,
        occurred_at_ms=_ms(message.occurred_at, "occurred_at")
        if message.HasField("occurred_at")
        else now_ms,
        received_at_ms=now_ms,
        actual_offer=message.actual.offer,
        actual_channel=message.actual.channel,
        actual_send_time_ms=_actual_send_time_ms(message, now_ms),
        detail=message.detail,
    )


def _actual_send_time_ms(message: feedback_api.ReportDeliveryRequest, now_ms: int) -> int:
    """When it was really sent; 0 if that is not told.

    A moment far from any contact rule would keep a message that was sent from ever counting.
    """
    sent_ms = _ms(message.actual.send_time, "actual.send_time")
    if sent_ms and abs(sent_ms - now_ms) > STANDING_DAYS * _MS_PER_DAY:
        _refuse("actual.send_time", f"is more than {STANDING_DAYS} days from now")
    return sent_ms


def reward_of(message: feedback_api.ReportRewardRequest, now_ms: int) -> Reward:
    """A reward from the wire.

    Raises:
        RequestError: INVALID_FIELD.
        MalformedDecisionId: if the decision id is none.
    """
    _check_text("reward_id", message.reward_id, ID_BYTES_MAX)
    _check_text("name", message.name, ID_BYTES_MAX)
    if not math.isfinite(message.value) or abs(message.value) > NUMBER_MAX:
        _refuse("value", f"must be finite and at most {NUMBER_MAX:.0e} in size")
    return Reward(
        decision_id=from_text(message.decision_id),
        reward_id=message.reward_id,
        name=message.name,
        value=message.value,
        occurred_at_ms=_ms(message.occurred_at, "occurred_at")
        if message.HasField("occurred_at")
        else now_ms,
        received_at_ms=now_ms,
    )


def rollout_of(rollout: Rollout) -> policy_api.Rollout:
    """A rollout for the wire."""
    message = policy_api.Rollout(sequence=rollout.sequence, catalog_version=rollout.catalog)
    for share in rollout.arms:
        arm = common.Arm.ValueType(share.arm)
        message.arms.add(arm=arm, policy_version=share.policy, share=share.share)
    message.updated_at.FromDatetime(rollout.updated_at)
    return message


def arms_of(messages: Sequence[policy_api.ArmShare]) -> tuple[ArmShare, ...]:
    """The arms of a rollout from the wire.

    Raises:
        RequestError: INVALID_FIELD.
    """
    return tuple(_arm_share(message, index) for index, message in enumerate(messages))


def _arm_share(message: policy_api.ArmShare, index: int) -> ArmShare:
    if message.arm not in _ARMS:
        _refuse(f"arms[{index}].arm", "must be one of the known arms")
    if not 0.0 <= message.share <= 1.0:
        _refuse(f"arms[{index}].share", "must be from 0 to 1")
    arm = RolloutArm(message.arm)
    return ArmShare(arm=arm, policy=message.policy_version, share=message.share)


def _send(decision: Decision) -> common.Send:
    offer, channel, send_time = (stage.chosen for stage in decision.stages)
    name, channels = decision.tree[offer]
    channel_name, mask = channels[channel]
    grid = decision.grid
    windows = Grid(grid.start_ms, grid.step_ms, grid.earliest_ms, grid.local_minutes)
    window = bits(mask)[send_time]
    return common.Send(
        offer=name,
        channel=channel_name,
        send_time=_timestamp(windows.send_time_ms(window)),
        send_before=_timestamp(windows.send_before_ms(window)),
    )


def _stage_probabilities(decision: Decision) -> common.StageProbabilities:
    if not decision.stages:
        return common.StageProbabilities(offer=1.0, channel=1.0, send_time=1.0)
    offer, channel, send_time = (stage.probability for stage in decision.stages)
    return common.StageProbabilities(offer=offer, channel=channel, send_time=send_time)


def _features(messages: Mapping[str, common.Feature], field: str) -> Features:
    return {name: _value(message, f"{field}[{name}]") for name, message in messages.items()}


def _offer_features(messages: Mapping[str, common.FeatureSet]) -> dict[str, Features]:
    size = sum(len(group.features) for group in messages.values())
    if size > OFFER_FEATURES_MAX:
        _refuse("offer_features", f"has {size} features in all; {OFFER_FEATURES_MAX} is the most")
    return {
        offer: _features(group.features, f"offer_features[{offer}]")
        for offer, group in messages.items()
    }


def _value(message: common.Feature, field: str) -> FeatureValue:
    kind = message.WhichOneof("value")
    if kind == "number":
        return message.number
    if kind == "category":
        return message.category
    if kind == "flag":
        return message.flag
    raise RequestError("INVALID_FIELD", field[:CATEGORY_BYTES_MAX], "has no value")


def _names(field: str, names: Sequence[str]) -> tuple[str, ...]:
    if len(names) > LIST_MAX:
        _refuse(field, f"has {len(names)} entries; {LIST_MAX} is the most")
    return tuple(names)


def _is_critical(priority: common.Priority.ValueType) -> bool:
    if priority not in common.Priority.values():
        _refuse("priority", "is not a known priority")
    return priority == common.PRIORITY_CRITICAL


def _delivery_status(message: feedback_api.ReportDeliveryRequest) -> DeliveryStatus:
    if message.status not in _DELIVERY_STATUSES:
        _refuse("status", "must be SENT, FAILED, SUPPRESSED or OVERRIDDEN")
    status = DeliveryStatus(message.status)
    if (status is DeliveryStatus.OVERRIDDEN) != message.HasField("actual"):
        _refuse("actual", "must be set for OVERRIDDEN, and for nothing else")
    if status is DeliveryStatus.OVERRIDDEN:
        _check_text("actual.offer", message.actual.offer, ID_BYTES_MAX)
        _check_text("actual.channel", message.actual.channel, ID_BYTES_MAX)
    return status


def _digest(message: decision_api.DecideRequest) -> bytes:
    """Hash of a request, the same for equal requests; empty if it can never be repeated."""
    if not message.request_id:
        return b""
    asked = decision_api.DecideRequest()
    asked.CopyFrom(message)
    asked.explain = False  # to be told more about an answer is not to ask for another
    # Of lists that are sets neither order nor repetition means anything.
    for names in (
        asked.eligible_offers,
        asked.excluded_offers,
        asked.eligible_channels,
        asked.excluded_channels,
        asked.granted_consents,
    ):
        names[:] = sorted(set(names))
    return blake2b(asked.SerializeToString(deterministic=True), digest_size=16).digest()


def _ms(moment: Timestamp, field: str) -> int:
    """A time in Unix milliseconds, rounded down."""
    if not 0 <= moment.seconds <= _SECONDS_MAX or not 0 <= moment.nanos < _NANOS_PER_SECOND:
        _refuse(field, "is not between the years 1970 and 9999")
    return moment.seconds * 1000 + moment.nanos // _NANOS_PER_MS


def _timestamp(time_ms: int) -> Timestamp:
    return Timestamp(seconds=time_ms // 1000, nanos=time_ms % 1000 * _NANOS_PER_MS)


def _check_text(field: str, text: str, bytes_max: int) -> None:
    size = len(text.encode())
    if not 1 <= size <= bytes_max:
        _refuse(field, f"has {size} bytes; it needs 1 to {bytes_max}")


def _refuse(field: str, problem: str) -> NoReturn:
    raise RequestError("INVALID_FIELD", field, problem)
