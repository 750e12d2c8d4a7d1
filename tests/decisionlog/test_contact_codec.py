"""The stored bytes of contacts: exact both ways, the same for ever, and never silently wrong."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisionlog.codec import decode_subject, encode_decision
from decisionlog.contact_codec import (
    decode_audit,
    decode_budget,
    decode_reservation,
    decode_standing,
    encode_audit,
    encode_budget,
    encode_reservation,
    encode_standing,
)
from decisionlog.contacts import (
    HOURS,
    AuditEntry,
    AuditKind,
    BudgetKey,
    Reservation,
    Standing,
)
from decisionlog.errors import DamagedRecord, InvalidRecord
from decisionlog.records import Decision
from decisionlog.sealing import seal, unseal
from decisionlog.tables import Table
from decisionlog.tombstones import Tombstone, decode_tombstone, encode_tombstone
from sendwise.log.v1 import records_pb2 as pb
from tests.decisionlog import samples
from tests.decisionlog.samples import CONTACT, DECISION, DELIVERY, RESPONSE

GOLDEN = Path(__file__).parents[1] / "golden" / "records"
SUBJECT = DECISION.subject
TOMBSTONE = Tombstone(SUBJECT, 1_760_000_000_000, DECISION.decision_id, is_complete=True)
RESERVATION = Reservation(
    DECISION.decision_id, SUBJECT, replace(CONTACT), replace(DELIVERY, detail="")
)
OPEN = Reservation(DECISION.decision_id, b"")
CHARGED = replace(CONTACT, slots=())
STANDING = Standing((CHARGED, replace(CHARGED, confirmed=True)), (RESPONSE,))
BUDGET: BudgetKey = ("channel", "push", 739_533)
SENT = tuple(range(HOURS))
ENTRY = AuditEntry(
    DECISION.decision_id, AuditKind.CRITICAL, DECISION.decision_id, ("cap", "quiet_hours")
)
ACT = AuditEntry(
    DECISION.decision_id,
    AuditKind.EXPORT,
    b"",
    actor="user ada",
    details=(("rows", "12"), ("to", "parquet")),
)


@given(samples.reservations)
def test_reservation_round_trip(reservation: Reservation) -> None:
    """Every reservation comes back as it was, with or without contact, subject and report."""
    value = encode_reservation(reservation)
    assert decode_reservation(reservation.decision_id, value) == reservation


@given(samples.ids, samples.standings)
def test_standing_round_trip(subject: bytes, standing: Standing) -> None:
    """Every standing comes back as it was, in its order."""
    assert decode_standing(subject, encode_standing(subject, standing)) == standing


@given(samples.budgets, st.lists(samples.numbers, min_size=HOURS, max_size=HOURS).map(tuple))
def test_budget_round_trip(budget: BudgetKey, sent: tuple[int, ...]) -> None:
    """Every budget's day comes back hour by hour."""
    assert decode_budget(budget, encode_budget(budget, sent)) == sent


@given(samples.audit_entries)
def test_audit_round_trip(entry: AuditEntry) -> None:
    """Every entry of the audit trail comes back as it was."""
    assert decode_audit(entry.entry_id, encode_audit(entry)) == entry


@given(samples.decisions)
def test_the_subject_is_read_without_the_rest(decision: Decision) -> None:
    """The subject of every stored decision is found at its beginning."""
    assert decode_subject(decision.decision_id, encode_decision(decision)) == decision.subject


@pytest.mark.parametrize(
    "value",
    [
        encode_decision(DECISION)[:-1],
        seal(b""),
        seal(unseal(Table.DECISIONS, b"", encode_decision(DECISION))[18:]),
        encode_decision(replace(DECISION, decision_id=bytes(16))),
    ],
)
def test_a_decision_that_does_not_begin_with_its_ids_is_damage(value: bytes) -> None:
    """No subject is read from a cut, an empty, a headless or another decision's record."""
    with pytest.raises(DamagedRecord):
        decode_subject(DECISION.decision_id, value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"decision_id": bytes(16)}, "another decision's"),
        ({"slots": (("offer", "a", 1, 25),)}, "hour 25"),
        ({"slots": (("offer", "a", 1, -1),)}, "hour -1"),
        ({"slots": (("bid", "a", 1, 1),)}, "bid"),
        ({"slots": (("offer", "a", -1, 1),)}, "-1"),
        ({"offer": "\ud800"}, "surrogates"),
        ({"send_time_ms": 2**63}, "9223372036854775808"),
    ],
)
def test_a_contact_that_cannot_be_stored_is_refused(
    change: dict[str, object], problem: str
) -> None:
    """A contact that would not come back is refused before it is written; the error says why."""
    contact = replace(CONTACT, **change)  # type: ignore[arg-type]
    with pytest.raises(InvalidRecord, match=problem):
        encode_reservation(Reservation(DECISION.decision_id, SUBJECT, contact))


def test_a_budget_of_too_few_hours_is_refused_and_damage() -> None:
    """A budget's day has 25 hours, when it is written and when it is read."""
    with pytest.raises(InvalidRecord, match="not 24"):
        encode_budget(BUDGET, SENT[:24])
    kind, name, day = BUDGET
    short = pb.BudgetRecord(kind=kind, name=name, day=day, sent=SENT[:24]).SerializeToString()
    with pytest.raises(DamagedRecord, match="not 24"):
        decode_budget(BUDGET, seal(short))


def test_records_under_other_keys_are_damage() -> None:
    """A whole record that lies in another's place is found out."""
    key = bytes(16)
    decodings: list[tuple[Callable[[], object], bytes]] = [
        (lambda: decode_reservation(key, encode_reservation(OPEN)), key),
        (lambda: decode_standing(key, encode_standing(SUBJECT, STANDING)), key),
        (lambda: decode_audit(key, encode_audit(ENTRY)), key),
        (lambda: decode_budget(BUDGET, encode_budget(("offer", "push", 739_533), SENT)), b""),
    ]
    for decode, at in decodings:
        with pytest.raises(DamagedRecord, match="another key") as caught:
            decode()
        assert caught.value.key == at or not at


def test_an_unknown_kind_of_audit_entry_is_damage() -> None:
    """What no version of ours noted is refused."""
    record = pb.AuditRecord(entry_id=ENTRY.entry_id, kind=99)
    with pytest.raises(DamagedRecord, match="99"):
        decode_audit(ENTRY.entry_id, seal(record.SerializeToString()))


@given(st.data())
def test_every_flipped_bit_of_a_standing_is_damage(data: st.DataObject) -> None:
    """No single flipped bit of a stored standing passes for one."""
    value = bytearray(encode_standing(SUBJECT, STANDING))
    bit = data.draw(st.integers(0, 8 * len(value) - 1))
    value[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedRecord):
        decode_standing(SUBJECT, bytes(value))


@pytest.mark.parametrize(
    ("name", "value", "read", "record"),
    [
        (
            "reservation",
            encode_reservation(RESERVATION),
            lambda v: decode_reservation(DECISION.decision_id, v),
            RESERVATION,
        ),
        (
            "reservation_open",
            encode_reservation(OPEN),
            lambda v: decode_reservation(DECISION.decision_id, v),
            OPEN,
        ),
        (
            "standing",
            encode_standing(SUBJECT, STANDING),
            lambda v: decode_standing(SUBJECT, v),
            STANDING,
        ),
        ("budget", encode_budget(BUDGET, SENT), lambda v: decode_budget(BUDGET, v), SENT),
        (
            "tombstone",
            encode_tombstone(TOMBSTONE),
            lambda v: decode_tombstone(SUBJECT, v),
            TOMBSTONE,
        ),
        ("audit", encode_audit(ENTRY), lambda v: decode_audit(ENTRY.entry_id, v), ENTRY),
        ("audit_act", encode_audit(ACT), lambda v: decode_audit(ACT.entry_id, v), ACT),
    ],
)
def test_golden_records(
    name: str, value: bytes, read: Callable[[bytes], object], record: object
) -> None:
    """Records written by the first version are read, and written, the same today."""
    golden = (GOLDEN / f"{name}.bin").read_bytes()
    assert value == golden
    assert read(golden) == record
