"""The stored bytes: exact both ways, the same for ever, and never silently wrong."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisionlog.codec import (
    decode_decision,
    decode_delivery,
    decode_request,
    decode_reward,
    encode_decision,
    encode_delivery,
    encode_request,
    encode_reward,
)
from decisionlog.errors import DamagedRecord, InvalidRecord
from decisionlog.records import Decision, Delivery, DeliveryStatus, FeatureValue, Reward, Stage
from decisionlog.sealing import MAX_PAYLOAD_BYTES, seal, unseal
from decisionlog.tables import Table, report_key
from sendwise.log.v1 import parts_pb2 as parts_pb
from sendwise.log.v1 import records_pb2 as pb
from tests.decisionlog import samples

GOLDEN = Path(__file__).parents[1] / "golden" / "records"
EMPTY_DECISION = replace(
    samples.DECISION, no_send_reason=3, features={}, offer_features={}, tree=(), stages=()
)
SENT = replace(
    samples.DELIVERY,
    status=DeliveryStatus.SENT,
    actual_offer="",
    actual_channel="",
    actual_send_time_ms=0,
    detail="",
)
HOSTILE_REWARD = replace(samples.REWARD, reward_id="|a:b \n\x00\u202e\U0001f600", value=-0.0)


def delivery_key(delivery: Delivery) -> bytes:
    """Return the key that a delivery is stored under."""
    return report_key(delivery.decision_id, delivery.delivery_id)


def reward_key(reward: Reward) -> bytes:
    """Return the key that a reward is stored under."""
    return report_key(reward.decision_id, reward.reward_id)


@given(samples.decisions)
def test_decision_round_trip(decision: Decision) -> None:
    """Every decision comes back as it was, whatever its texts hold."""
    assert decode_decision(decision.decision_id, encode_decision(decision)) == decision


@given(samples.deliveries)
def test_delivery_round_trip(delivery: Delivery) -> None:
    """Every delivery comes back as it was."""
    assert decode_delivery(delivery_key(delivery), encode_delivery(delivery)) == delivery


@given(samples.rewards)
def test_reward_round_trip(reward: Reward) -> None:
    """Every reward comes back as it was, down to the sign of a zero."""
    decoded = decode_reward(reward_key(reward), encode_reward(reward))
    assert decoded == reward
    assert decoded.value.hex() == reward.value.hex()


@given(samples.ids, samples.ids)
def test_request_round_trip(decision_id: bytes, digest: bytes) -> None:
    """Every request comes back as it was."""
    assert decode_request(b"key", encode_request(decision_id, digest)) == (decision_id, digest)


@given(samples.decisions)
def test_decision_is_one_canonical_message(decision: Decision) -> None:
    """The joined parts of a record are the bytes of one deterministic protobuf message."""
    payload = unseal(Table.DECISIONS, b"", encode_decision(decision))
    message = pb.DecisionRecord.FromString(payload)
    assert message.SerializeToString(deterministic=True) == payload


@given(samples.decisions)
def test_order_of_mappings_does_not_matter(decision: Decision) -> None:
    """Equal decisions are equal bytes, however their mappings were built."""
    turned = replace(
        decision,
        features=dict(reversed([*decision.features.items()])),
        offer_features=dict(reversed([*decision.offer_features.items()])),
    )
    assert encode_decision(turned) == encode_decision(decision)


def test_names_and_masks_are_stored_once() -> None:
    """A tree that repeats an offer, a channel and a set of windows stores each of them once."""
    windows = (1 << 24) - 1
    nodes = tuple((channel, windows) for channel in ("email", "push"))
    decision = replace(samples.DECISION, tree=(("a", nodes), ("b", nodes), ("a", nodes)))
    payload = unseal(Table.DECISIONS, b"", encode_decision(decision))
    tree = pb.DecisionRecord.FromString(payload).tree
    assert list(tree.offers) == ["a", "b"]
    assert list(tree.channels) == ["email", "push"]
    assert list(tree.window_masks) == [b"\xff\xff\xff"]


@pytest.mark.parametrize(("trees", "offers"), [(40, 500), (150, 150)])
def test_many_different_trees_leave_memory_bounded(trees: int, offers: int) -> None:
    """Neither a few huge eligible trees nor very many middling ones are kept for ever."""
    tracemalloc.start()
    try:
        for turn in range(trees):
            channels = tuple((f"c{channel}", 1 + turn) for channel in range(24))
            # Each offer has nodes of its own, as eligibility makes them.
            tree = tuple(
                (f"o{offer}", tuple((name, mask) for name, mask in channels))
                for offer in range(offers)
            )
            decision = replace(samples.DECISION, tree=tree)
            assert decode_decision(decision.decision_id, encode_decision(decision)) == decision
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 32 * 2**20


@given(st.data())
def test_every_flipped_bit_is_damage(data: st.DataObject) -> None:
    """No single flipped bit of a stored value passes for a record."""
    value = bytearray(encode_decision(samples.DECISION))
    bit = data.draw(st.integers(0, 8 * len(value) - 1))
    value[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedRecord) as caught:
        decode_decision(samples.DECISION.decision_id, bytes(value))
    assert caught.value.table == Table.DECISIONS
    assert caught.value.key == samples.DECISION.decision_id


@given(st.data())
def test_every_cut_is_damage(data: st.DataObject) -> None:
    """No beginning of a stored value passes for a record."""
    value = encode_reward(samples.REWARD)
    length = data.draw(st.integers(0, len(value) - 1))
    with pytest.raises(DamagedRecord):
        decode_reward(reward_key(samples.REWARD), value[:length])


@pytest.mark.parametrize("payload", [b"\xff", b"\x0a\x02ab", b""])
def test_nonsense_with_a_right_checksum_is_damage(payload: bytes) -> None:
    """What no encoder of ours writes is refused, even if its checksum fits."""
    key = bytes(16)
    for decode in (decode_decision, decode_delivery, decode_reward, decode_request):
        with pytest.raises(DamagedRecord):
            decode(key, seal(payload))


def test_a_tree_that_points_nowhere_is_damage() -> None:
    """An index without its name is refused."""
    payload = unseal(Table.DECISIONS, b"", encode_decision(samples.DECISION))
    message = pb.DecisionRecord.FromString(payload)
    del message.tree.channels[:]
    with pytest.raises(DamagedRecord, match="index out of range"):
        decode_decision(samples.DECISION.decision_id, seal(message.SerializeToString()))


def test_a_feature_without_a_value_is_damage() -> None:
    """A feature that is neither number nor category nor flag is refused."""
    payload = unseal(Table.DECISIONS, b"", encode_decision(samples.DECISION))
    message = pb.DecisionRecord.FromString(payload)
    message.features.add(name="empty")
    with pytest.raises(DamagedRecord, match="'empty' has no value"):
        decode_decision(samples.DECISION.decision_id, seal(message.SerializeToString()))


def test_half_a_probability_is_damage() -> None:
    """Probabilities that do not take eight bytes each are refused."""
    payload = unseal(Table.DECISIONS, b"", encode_decision(samples.DECISION))
    parts = parts_pb.DecisionParts.FromString(payload)
    parts.stages[0].pmf += b"\0"
    with pytest.raises(DamagedRecord, match="no whole number of probabilities"):
        decode_decision(samples.DECISION.decision_id, seal(parts.SerializeToString()))


def test_parts_have_the_fields_of_the_record() -> None:
    """What readers take apart has every field of what writers put together, by number and name."""
    views = (
        (pb.DecisionRecord, parts_pb.DecisionParts),
        (pb.Grid, parts_pb.GridParts),
        (pb.Stage, parts_pb.StageParts),
    )
    for whole, view in views:
        names = {field.number: field.name for field in whole.DESCRIPTOR.fields}
        assert {field.number: field.name for field in view.DESCRIPTOR.fields} == names


@given(st.text(max_size=8).map("{}\x11".format), st.text(min_size=1, max_size=12), st.floats())
def test_features_that_look_like_another_come_back(name: str, text: str, number: float) -> None:
    """A text with the byte that stands before a number, in its place, is no number."""
    features: dict[str, FeatureValue] = {name: number, name + text: "\x11" + text, text: False}
    decision = replace(samples.DECISION, features=features)
    found = decode_decision(decision.decision_id, encode_decision(decision)).features
    assert repr(found) == repr(dict(sorted(features.items())))


def test_an_unknown_status_is_damage() -> None:
    """A delivery status of no version of ours is refused."""
    payload = unseal(Table.DELIVERIES, b"", encode_delivery(samples.DELIVERY))
    message = pb.DeliveryRecord.FromString(payload)
    message.status = 99
    with pytest.raises(DamagedRecord, match="99"):
        decode_delivery(delivery_key(samples.DELIVERY), seal(message.SerializeToString()))


def test_records_under_other_keys_are_damage() -> None:
    """A whole record that lies in another's place is found out."""
    key = bytes(16)
    with pytest.raises(DamagedRecord, match="another key"):
        decode_decision(key, encode_decision(samples.DECISION))
    with pytest.raises(DamagedRecord, match="another key"):
        decode_delivery(2 * key, encode_delivery(samples.DELIVERY))
    with pytest.raises(DamagedRecord, match="another key"):
        decode_reward(2 * key, encode_reward(samples.REWARD))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"decision_id": b"short"}, "decision_id has 5 bytes"),
        ({"subject": bytes(17)}, "subject has 17 bytes"),
        ({"request_digest": b""}, "request_digest has 0 bytes"),
        ({"stages": (Stage((0.5, 0.5), 2),)}, "stage 0 chose 2 of 2"),
        ({"stages": (Stage((0.5, 0.5), -1),)}, "stage 0 chose -1 of 2"),
        ({"policy_version": "\ud800"}, "surrogates"),
        ({"features": {"\udfff": 1.0}}, "surrogates"),
        ({"arm": -1}, "-1"),
        ({"features": {"a": "x" * (MAX_PAYLOAD_BYTES + 1)}}, f"more than {MAX_PAYLOAD_BYTES}"),
        ({"tree": (("a", (("b", -1),)),)}, "negative"),
    ],
)
def test_what_cannot_be_stored_is_refused(change: dict[str, object], problem: str) -> None:
    """A record that would not come back is refused before it is written, and the error says why."""
    with pytest.raises(InvalidRecord, match=problem):
        encode_decision(replace(samples.DECISION, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "decision"), [("decision", samples.DECISION), ("decision_empty", EMPTY_DECISION)]
)
def test_golden_decisions(name: str, decision: Decision) -> None:
    """Decisions written by the first version are read, and written, the same today."""
    value = (GOLDEN / f"{name}.bin").read_bytes()
    assert encode_decision(decision) == value
    assert decode_decision(decision.decision_id, value) == decision


@pytest.mark.parametrize(
    ("name", "delivery"), [("delivery", samples.DELIVERY), ("delivery_sent", SENT)]
)
def test_golden_deliveries(name: str, delivery: Delivery) -> None:
    """Deliveries written by the first version are read, and written, the same today."""
    value = (GOLDEN / f"{name}.bin").read_bytes()
    assert encode_delivery(delivery) == value
    assert decode_delivery(delivery_key(delivery), value) == delivery


@pytest.mark.parametrize(
    ("name", "reward"), [("reward", samples.REWARD), ("reward_hostile", HOSTILE_REWARD)]
)
def test_golden_rewards(name: str, reward: Reward) -> None:
    """Rewards written by the first version are read, and written, the same today."""
    value = (GOLDEN / f"{name}.bin").read_bytes()
    assert encode_reward(reward) == value
    assert decode_reward(reward_key(reward), value) == reward


def test_golden_request() -> None:
    """Requests written by the first version are read, and written, the same today."""
    value = (GOLDEN / "request.bin").read_bytes()
    assert encode_request(samples.DECISION.decision_id, b"d" * 16) == value
    assert decode_request(b"key", value) == (samples.DECISION.decision_id, b"d" * 16)
