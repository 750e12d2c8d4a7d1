"""Turns decisions, deliveries, rewards and requests into stored bytes and back.

This module, `decision_payload`, `decision_parts` and `contact_codec` are the only ones here that
know the generated code. Payloads are protobuf messages with every field in the order of its number
and every mapping sorted, so equal records are equal bytes; `sealing` says what surrounds them.
"""

import struct
from typing import Final

from decisionlog.decision_parts import decision_of
from decisionlog.decision_payload import FIRST, IDS, SECOND, decision_payload
from decisionlog.errors import DamagedRecord, InvalidRecord
from decisionlog.records import Decision, Delivery, DeliveryStatus, Reward
from decisionlog.sealing import check_id, decoded, encoded, seal, unseal
from decisionlog.tables import ID_BYTES, Table, report_key
from sendwise.log.v1 import records_pb2 as pb

_REQUEST: Final = struct.Struct(f"{ID_BYTES}s{ID_BYTES}s")


def encode_decision(decision: Decision) -> bytes:
    """Return the stored form of a decision.

    Raises:
        InvalidRecord: An id is not 16 bytes long, a stage chose what it does not have, or a value
            has no protobuf form (a lone surrogate, a number out of range).
        RecordTooLarge: Tree and features together take too many bytes.
    """
    _check_decision(decision)
    return seal(encoded(decision_payload, decision))


def decode_decision(key: bytes, value: bytes) -> Decision:
    """Return the decision stored under a key.

    Raises:
        DamagedRecord: It is not what was written, or belongs to another key.
    """
    decision = decoded(_decision, Table.DECISIONS, key, value)
    if decision.decision_id != key:
        raise DamagedRecord(Table.DECISIONS, key, "it belongs to another key")
    return decision


def decode_subject(key: bytes, value: bytes) -> bytes:
    """Return the subject of the decision stored under a key, without decoding the rest.

    Raises:
        DamagedRecord: It is not what was written, or belongs to another key.
    """
    payload = unseal(Table.DECISIONS, key, value)
    found = IDS.unpack_from(payload) if len(payload) >= IDS.size else None
    if found is None or found[:3] != (FIRST, key, SECOND):
        raise DamagedRecord(Table.DECISIONS, key, "it does not begin with its ids")
    subject: bytes = found[3]
    return subject


def encode_delivery(delivery: Delivery) -> bytes:
    """Return the stored form of a delivery.

    Raises:
        InvalidRecord: The decision's id is not 16 bytes long, or a value has no protobuf form.
    """
    check_id("decision_id", delivery.decision_id)
    return seal(encoded(_delivery_payload, delivery))


def decode_delivery(key: bytes, value: bytes) -> Delivery:
    """Return the delivery stored under a key.

    Raises:
        DamagedRecord: It is not what was written, or belongs to another key.
    """
    delivery = decoded(_delivery, Table.DELIVERIES, key, value)
    if report_key(delivery.decision_id, delivery.delivery_id) != key:
        raise DamagedRecord(Table.DELIVERIES, key, "it belongs to another key")
    return delivery


def encode_reward(reward: Reward) -> bytes:
    """Return the stored form of a reward.

    Raises:
        InvalidRecord: The decision's id is not 16 bytes long, or a value has no protobuf form.
    """
    check_id("decision_id", reward.decision_id)
    return seal(encoded(_reward_payload, reward))


def decode_reward(key: bytes, value: bytes) -> Reward:
    """Return the reward stored under a key.

    Raises:
        DamagedRecord: It is not what was written, or belongs to another key.
    """
    reward = decoded(_reward, Table.REWARDS, key, value)
    if report_key(reward.decision_id, reward.reward_id) != key:
        raise DamagedRecord(Table.REWARDS, key, "it belongs to another key")
    return reward


def encode_request(decision_id: bytes, request_digest: bytes) -> bytes:
    """Return the stored form of "this decision answered the request with this digest"."""
    check_id("decision_id", decision_id)
    check_id("request_digest", request_digest)
    return seal(_REQUEST.pack(decision_id, request_digest))


def decode_request(key: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return a request's decision id and digest, 16 bytes each.

    Raises:
        DamagedRecord: It is not what was written.
    """
    payload = unseal(Table.REQUESTS, key, value)
    if len(payload) != _REQUEST.size:
        raise DamagedRecord(Table.REQUESTS, key, f"{len(payload)} bytes are not a request")
    decision_id, request_digest = _REQUEST.unpack(payload)
    return decision_id, request_digest


def _check_decision(decision: Decision) -> None:
    check_id("decision_id", decision.decision_id)
    check_id("subject", decision.subject)
    check_id("request_digest", decision.request_digest)
    for number, stage in enumerate(decision.stages):
        if not 0 <= stage.chosen < len(stage.pmf):
            raise InvalidRecord(f"stage {number} chose {stage.chosen} of {len(stage.pmf)}")


def _decision(payload: bytes) -> Decision:
    decision = decision_of(payload)
    try:
        _check_decision(decision)
    except InvalidRecord as error:
        raise ValueError(error.problem) from error
    return decision


def delivery_message(delivery: Delivery) -> pb.DeliveryRecord:
    """Return the message of a delivery, for `contact_codec`."""
    return pb.DeliveryRecord(
        decision_id=delivery.decision_id,
        delivery_id=delivery.delivery_id,
        status=delivery.status,
        occurred_at_ms=delivery.occurred_at_ms,
        received_at_ms=delivery.received_at_ms,
        actual_offer=delivery.actual_offer,
        actual_channel=delivery.actual_channel,
        actual_send_time_ms=delivery.actual_send_time_ms,
        detail=delivery.detail,
    )


def delivery_of(record: pb.DeliveryRecord) -> Delivery:
    """Return the delivery of a message, for `contact_codec`.

    Raises:
        ValueError: Its status is unknown.
    """
    return Delivery(
        decision_id=record.decision_id,
        delivery_id=record.delivery_id,
        status=DeliveryStatus(record.status),
        occurred_at_ms=record.occurred_at_ms,
        received_at_ms=record.received_at_ms,
        actual_offer=record.actual_offer,
        actual_channel=record.actual_channel,
        actual_send_time_ms=record.actual_send_time_ms,
        detail=record.detail,
    )


def _delivery_payload(delivery: Delivery) -> bytes:
    return delivery_message(delivery).SerializeToString()


def _delivery(payload: bytes) -> Delivery:
    return delivery_of(pb.DeliveryRecord.FromString(payload))


def _reward_payload(reward: Reward) -> bytes:
    return pb.RewardRecord(
        decision_id=reward.decision_id,
        reward_id=reward.reward_id,
        name=reward.name,
        value=reward.value,
        occurred_at_ms=reward.occurred_at_ms,
        received_at_ms=reward.received_at_ms,
    ).SerializeToString()


def _reward(payload: bytes) -> Reward:
    record = pb.RewardRecord.FromString(payload)
    return Reward(
        decision_id=record.decision_id,
        reward_id=record.reward_id,
        name=record.name,
        value=record.value,
        occurred_at_ms=record.occurred_at_ms,
        received_at_ms=record.received_at_ms,
    )
