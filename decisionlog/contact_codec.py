"""Turns reservations, standings, budgets and audit entries into stored bytes and back."""

from functools import lru_cache
from typing import Final

from decisionlog.codec import delivery_message, delivery_of
from decisionlog.contacts import (
    HOURS,
    AuditEntry,
    AuditKind,
    BudgetKey,
    Contact,
    Reservation,
    Response,
    Standing,
)
from decisionlog.errors import DamagedRecord, InvalidRecord
from decisionlog.sealing import check_id, decoded, encoded, seal
from decisionlog.tables import ID_BYTES, Table, budget_key
from sendwise.log.v1 import records_pb2 as pb

_KINDS: Final = frozenset({"offer", "channel"})


def encode_reservation(reservation: Reservation) -> bytes:
    """Return the stored form of a reservation.

    Raises:
        InvalidRecord: The contact is another decision's, a slot is of no known kind or at no hour
            of a day, or a value has no protobuf form.
    """
    check_id("decision_id", reservation.decision_id)
    if reservation.contact is not None:
        _check_contact(reservation.decision_id, reservation.contact)
    return seal(encoded(_reservation_payload, reservation))


def decode_reservation(key: bytes, value: bytes) -> Reservation:
    """Return the reservation of a decision.

    Raises:
        DamagedRecord: It is not what was written, or belongs to another key.
    """
    reservation = decoded(_reservation, Table.CONTACTS, key, value)
    if reservation.decision_id != key:
        raise DamagedRecord(Table.CONTACTS, key, "it belongs to another key")
    return reservation


def encode_standing(subject: bytes, standing: Standing) -> bytes:
    """Return the stored form of a subject's standing, without slots of budgets.

    Raises:
        InvalidRecord: A value has no protobuf form.
        RecordTooLarge: Its names take too many bytes.
    """
    return seal(encoded(_standing_payload, (subject, standing)))


def decode_standing(subject: bytes, value: bytes) -> Standing:
    """Return the standing of a subject.

    Raises:
        DamagedRecord: It is not what was written, or is another subject's.
    """
    found, standing = decoded(_standing, Table.STANDINGS, subject, value)
    if found != subject:
        raise DamagedRecord(Table.STANDINGS, subject, "it belongs to another key")
    return standing


def encode_budget(budget: BudgetKey, sent: tuple[int, ...]) -> bytes:
    """Return the stored form of a budget's day, messages by hour.

    Raises:
        InvalidRecord: These are not `HOURS` counts.
    """
    if len(sent) != HOURS:
        raise InvalidRecord(f"a budget's day has {HOURS} counts, not {len(sent)}")
    return seal(encoded(_budget_payload, (budget, sent)))


# Of many budgets few change from one choice to the next: what is stored tells whether one has.
@lru_cache(maxsize=16_384)
def decode_budget(budget: BudgetKey, value: bytes) -> tuple[int, ...]:
    """Return the messages of a budget's day by hour.

    Raises:
        DamagedRecord: It is not what was written, or is another budget's.
    """
    _, sent = decode_budget_row(budget_key(*budget), value)
    return sent


def decode_budget_row(key: bytes, value: bytes) -> tuple[BudgetKey, tuple[int, ...]]:
    """Return a budget's day, and its messages by hour.

    Raises:
        DamagedRecord: It is not what was written, or belongs to another key.
    """
    budget, sent = decoded(_budget, Table.BUDGETS, key, value)
    if budget_key(*budget) != key:
        raise DamagedRecord(Table.BUDGETS, key, "it belongs to another key")
    return budget, sent


def encode_audit(entry: AuditEntry) -> bytes:
    """Return the stored form of an entry of the audit trail.

    Raises:
        InvalidRecord: A value has no protobuf form.
    """
    check_id("entry_id", entry.entry_id)
    return seal(encoded(_audit_payload, entry))


def decode_audit(key: bytes, value: bytes) -> AuditEntry:
    """Return an entry of the audit trail.

    Raises:
        DamagedRecord: It is not what was written, or belongs to another key.
    """
    entry = decoded(_audit, Table.AUDIT, key, value)
    if entry.entry_id != key:
        raise DamagedRecord(Table.AUDIT, key, "it belongs to another key")
    return entry


def _check_contact(decision_id: bytes, contact: Contact) -> None:
    if contact.decision_id != decision_id:
        raise InvalidRecord("the contact is another decision's")
    for kind, name, _, hour in contact.slots:
        if kind not in _KINDS or not 0 <= hour < HOURS:
            raise InvalidRecord(f"hour {hour} of the {kind} {name!r} is no slot of a budget")


def _contact_message(contact: Contact) -> pb.Contact:
    message = pb.Contact(
        decision_id=contact.decision_id,
        offer=contact.offer,
        channel=contact.channel,
        send_time_ms=contact.send_time_ms,
        confirmed=contact.confirmed,
    )
    for kind, name, day, hour in contact.slots:
        message.slots.add(kind=kind, name=name, day=day, hour=hour)
    return message


def _contact(message: pb.Contact) -> Contact:
    return Contact(
        message.decision_id,
        message.offer,
        message.channel,
        message.send_time_ms,
        message.confirmed,
        tuple([(slot.kind, slot.name, slot.day, slot.hour) for slot in message.slots]),
    )


def _reservation_payload(reservation: Reservation) -> bytes:
    contact, report = reservation.contact, reservation.report
    return pb.ReservationRecord(
        decision_id=reservation.decision_id,
        subject=reservation.subject,
        contact=None if contact is None else _contact_message(contact),
        report=None if report is None else delivery_message(report),
    ).SerializeToString()


def _reservation(payload: bytes) -> Reservation:
    record = pb.ReservationRecord.FromString(payload)
    return Reservation(
        record.decision_id,
        record.subject,
        _contact(record.contact) if record.HasField("contact") else None,
        delivery_of(record.report) if record.HasField("report") else None,
    )


def _standing_payload(of: tuple[bytes, Standing]) -> bytes:
    subject, standing = of
    names: dict[str, int] = {}
    contacts, responses = standing.contacts, standing.responses
    columns = pb.ContactColumns(
        decision_ids=_joined([each.decision_id for each in contacts]),
        offers=[names.setdefault(each.offer, len(names)) for each in contacts],
        channels=[names.setdefault(each.channel, len(names)) for each in contacts],
        send_times_ms=[each.send_time_ms for each in contacts],
        confirmed=[each.confirmed for each in contacts],
    )
    heard = pb.ResponseColumns(
        decision_ids=_joined([each.decision_id for each in responses]),
        rewards=[names.setdefault(each.name, len(names)) for each in responses],
        offers=[names.setdefault(each.offer, len(names)) for each in responses],
        channels=[names.setdefault(each.channel, len(names)) for each in responses],
        occurred_at_ms=[each.occurred_at_ms for each in responses],
    )
    return pb.StandingRecord(
        subject=subject, names=names, contacts=columns, responses=heard
    ).SerializeToString()


def _standing(payload: bytes) -> tuple[bytes, Standing]:
    record = pb.StandingRecord.FromString(payload)
    names = list(record.names)
    contacts, responses = record.contacts, record.responses
    return record.subject, Standing(
        tuple(
            [
                Contact(decision_id, names[offer], names[channel], send_time_ms, confirmed)
                for decision_id, offer, channel, send_time_ms, confirmed in zip(
                    _ids(contacts.decision_ids),
                    contacts.offers,
                    contacts.channels,
                    contacts.send_times_ms,
                    contacts.confirmed,
                    strict=True,
                )
            ]
        ),
        tuple(
            [
                Response(decision_id, names[reward], names[offer], names[channel], at_ms)
                for decision_id, reward, offer, channel, at_ms in zip(
                    _ids(responses.decision_ids),
                    responses.rewards,
                    responses.offers,
                    responses.channels,
                    responses.occurred_at_ms,
                    strict=True,
                )
            ]
        ),
    )


def _joined(decision_ids: list[bytes]) -> bytes:
    joined = b"".join(decision_ids)
    if len(joined) != ID_BYTES * len(decision_ids):
        raise ValueError(f"a decision_id does not have {ID_BYTES} bytes")
    return joined


def _ids(joined: bytes) -> list[bytes]:
    return [joined[at : at + ID_BYTES] for at in range(0, len(joined), ID_BYTES)]


def _budget_payload(of: tuple[BudgetKey, tuple[int, ...]]) -> bytes:
    (kind, name, day), sent = of
    return pb.BudgetRecord(kind=kind, name=name, day=day, sent=sent).SerializeToString()


def _budget(payload: bytes) -> tuple[BudgetKey, tuple[int, ...]]:
    record = pb.BudgetRecord.FromString(payload)
    if len(record.sent) != HOURS:
        raise ValueError(f"a budget's day has {HOURS} counts, not {len(record.sent)}")
    return (record.kind, record.name, record.day), tuple(record.sent)


def _audit_payload(entry: AuditEntry) -> bytes:
    return pb.AuditRecord(
        entry_id=entry.entry_id,
        kind=entry.kind,
        decision_id=entry.decision_id,
        bypassed=entry.bypassed,
        actor=entry.actor,
        details=[pb.ActDetail(name=name, value=value) for name, value in entry.details],
    ).SerializeToString()


def _audit(payload: bytes) -> AuditEntry:
    record = pb.AuditRecord.FromString(payload)
    return AuditEntry(
        record.entry_id,
        AuditKind(record.kind),
        record.decision_id,
        tuple(record.bypassed),
        record.actor,
        tuple([(detail.name, detail.value) for detail in record.details]),
    )
