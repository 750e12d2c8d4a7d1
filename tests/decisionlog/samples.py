"""Records for the tests: plain ones to begin with, and strategies for hostile ones."""

from dataclasses import replace

from hypothesis import strategies as st

from decisionlog.contacts import (
    HOURS,
    AuditEntry,
    AuditKind,
    Contact,
    Reservation,
    Response,
    Standing,
)
from decisionlog.keys import Keys
from decisionlog.records import Decision, Delivery, DeliveryStatus, Grid, Reward, Stage

KEYS = Keys(bytes(range(32)))
MAP_SIZE_BYTES = 16 * 1024 * 1024

DECISION = Decision(
    decision_id=bytes.fromhex("0199a1b2c3d47e5f8123456789abcdef"),
    subject=b"s" * 16,
    request_digest=b"d" * 16,
    arm=2,
    policy_version="chain-1",
    catalog_version="spring-3",
    time_zone="Europe/Berlin",
    priority=1,
    no_send_reason=0,
    features={"age": 41.5, "segment": "new", "subscribed": True},
    offer_features={"mens": {"affinity": 0.25}, "womens": {}},
    grid=Grid(
        start_ms=1_760_000_000_000,
        step_ms=3_600_000,
        earliest_ms=1_760_000_000_123,
        local_minutes=(540, 600, 660),
    ),
    tree=(
        ("mens", (("email", 0b111), ("push", 0b101))),
        ("womens", (("email", 0b111),)),
        ("none", (("none", 1),)),
    ),
    stages=(Stage((0.2, 0.3, 0.5), 1), Stage((1.0,), 0), Stage((0.25, 0.25, 0.5), 2)),
)
DELIVERY = Delivery(
    decision_id=DECISION.decision_id,
    delivery_id="smtp-1",
    status=DeliveryStatus.OVERRIDDEN,
    occurred_at_ms=1_760_000_100_000,
    received_at_ms=1_760_000_200_000,
    actual_offer="womens",
    actual_channel="email",
    actual_send_time_ms=1_760_000_090_000,
    detail="swapped by hand",
)
REWARD = Reward(
    decision_id=DECISION.decision_id,
    reward_id="order-981",
    name="spend",
    value=29.99,
    occurred_at_ms=1_760_000_300_000,
    received_at_ms=1_760_000_400_000,
)

CONTACT = Contact(
    decision_id=DECISION.decision_id,
    offer="mens",
    channel="push",
    send_time_ms=1_760_007_200_000,
    slots=(("offer", "mens", 739_533, 14), ("channel", "push", 739_533, 14)),
)
RESPONSE = Response(
    decision_id=DECISION.decision_id,
    name="click",
    offer="mens",
    channel="push",
    occurred_at_ms=1_760_010_000_000,
)


def decision_id(number: int) -> bytes:
    """Return an id; ids sort by number."""
    return number.to_bytes(6, "big") + bytes.fromhex("70008000000000000000")


# Everything a string can hold but surrogates, which no UTF-8 has; forged separators come often.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["", "|", "a|b:c d", "\n", "\x00", "a" * 300, "\u202e\u0301", "\U0001f600"]
)
ids = st.binary(min_size=16, max_size=16)
times_ms = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False)
features = st.dictionaries(texts, floats | texts | st.booleans(), max_size=4)
masks = st.integers(0, 2**200) | st.integers(0, 7)
trees = st.lists(
    st.tuples(texts, st.lists(st.tuples(texts, masks), max_size=3).map(tuple)), max_size=3
).map(tuple)
grids = st.builds(
    Grid,
    start_ms=times_ms,
    step_ms=times_ms,
    earliest_ms=times_ms,
    local_minutes=st.lists(st.integers(0, 10_079), max_size=4).map(tuple),
)


@st.composite
def _stages(draw: st.DrawFn) -> Stage:
    pmf = draw(st.lists(floats, min_size=1, max_size=5).map(tuple))
    return Stage(pmf, draw(st.integers(0, len(pmf) - 1)))


numbers = st.integers(0, 2**32 - 1)
decisions = st.builds(
    Decision,
    decision_id=ids,
    subject=ids,
    request_digest=ids,
    arm=numbers,
    policy_version=texts,
    catalog_version=texts,
    time_zone=texts,
    priority=numbers,
    no_send_reason=numbers,
    features=features,
    offer_features=st.dictionaries(texts, features, max_size=2),
    grid=grids,
    tree=trees,
    stages=st.lists(_stages(), max_size=3).map(tuple),
)
deliveries = st.builds(
    Delivery,
    decision_id=ids,
    delivery_id=texts,
    status=st.sampled_from(DeliveryStatus),
    occurred_at_ms=times_ms,
    received_at_ms=times_ms,
    actual_offer=texts,
    actual_channel=texts,
    actual_send_time_ms=times_ms,
    detail=texts,
)
rewards = st.builds(
    Reward,
    decision_id=ids,
    reward_id=texts,
    name=texts,
    value=floats,
    occurred_at_ms=times_ms,
    received_at_ms=times_ms,
)
budgets = st.tuples(st.sampled_from(["offer", "channel"]), texts, numbers)
slots = st.tuples(st.sampled_from(["offer", "channel"]), texts, numbers, st.integers(0, HOURS - 1))
contacts = st.builds(
    Contact,
    decision_id=ids,
    offer=texts,
    channel=texts,
    send_time_ms=times_ms,
    confirmed=st.booleans(),
    slots=st.lists(slots, max_size=3).map(tuple),
)
responses = st.builds(
    Response, decision_id=ids, name=texts, offer=texts, channel=texts, occurred_at_ms=times_ms
)
standings = st.builds(
    Standing,
    contacts=st.lists(contacts.map(lambda each: replace(each, slots=())), max_size=4).map(tuple),
    responses=st.lists(responses, max_size=4).map(tuple),
)
audit_entries = st.builds(
    AuditEntry,
    entry_id=ids,
    kind=st.sampled_from(AuditKind),
    decision_id=ids,
    bypassed=st.lists(texts, max_size=3).map(tuple),
    actor=texts,
    details=st.dictionaries(texts, texts, max_size=3).map(lambda each: tuple(sorted(each.items()))),
)


@st.composite
def _reservations(draw: st.DrawFn) -> Reservation:
    contact = draw(st.none() | contacts)
    key = draw(ids) if contact is None else contact.decision_id
    return Reservation(key, draw(st.just(b"") | ids), contact, draw(st.none() | deliveries))


reservations = _reservations()
