"""What rows of different tables say of each other, and where they contradict."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Final

from decisionlog.codec import decode_request, decode_subject
from decisionlog.contact_codec import decode_audit, decode_reservation, decode_standing
from decisionlog.contacts import STANDING_DAYS, AuditKind, Contact, Reservation, Standing
from decisionlog.cursors import rows_from
from decisionlog.errors import DamagedRecord
from decisionlog.ids import time_ms
from decisionlog.operations import is_gone
from decisionlog.standings import read_standing
from decisionlog.store import ReadTransaction, Store
from decisionlog.tables import Table
from decisionlog.tombstones import decode_tombstone

SLICE_ROWS: Final = 500

Contradiction = tuple[Table, bytes, str]
"""Table and key of a row, and what it contradicts."""
_COUNTS_NOT: Final = "it does not count for its subject"
_DAY_MS: Final = 86_400_000
_Check = Callable[[ReadTransaction, bytes, bytes], str | None]


def contradictions(store: Store, on_progress: Callable[[int], None]) -> Iterator[Contradiction]:
    """Yield all rows that contradict others; damaged ones contradict nobody.

    Args:
        store: Where to read; each row is compared with others of the same moment.
        on_progress: Called with the rows looked at, of all tables, since the last call.
    """
    for table in Table:
        check = _CHECKS.get(table)
        if check is None:
            with store.read() as transaction:
                on_progress(transaction.count(table))
            continue
        start: bytes | None = b""
        while start is not None:
            with store.read() as transaction:
                rows = list(islice(rows_from(transaction.cursor(table), start), SLICE_ROWS))
                found = [(key, _problem(check, transaction, key, value)) for key, value in rows]
            yield from ((table, key, problem) for key, problem in found if problem)
            on_progress(len(rows))
            start = rows[-1][0] + b"\0" if len(rows) == SLICE_ROWS else None


def _problem(check: _Check, transaction: ReadTransaction, key: bytes, value: bytes) -> str | None:
    try:
        return check(transaction, key, value)
    except DamagedRecord:
        return None  # it is told already, for itself


def _request(transaction: ReadTransaction, key: bytes, value: bytes) -> str | None:
    decision_id, _ = decode_request(key, value)
    return _missing(transaction, decision_id)


def _reservation(transaction: ReadTransaction, key: bytes, value: bytes) -> str | None:
    reservation = decode_reservation(key, value)
    decision = transaction.get(Table.DECISIONS, key)
    if decision is None:
        return _missing(transaction, key) if reservation.subject else None
    if decode_subject(key, decision) != reservation.subject:
        return "its subject is not that of its decision"
    contact = reservation.in_force
    if contact is None or _is_being_erased(transaction, reservation):
        return None
    standing = read_standing(transaction, reservation.subject)
    counts = replace(contact, slots=()) in standing.contacts
    return None if counts or _has_left(transaction, standing, contact) else _COUNTS_NOT


def _has_left(transaction: ReadTransaction, standing: Standing, contact: Contact) -> bool:
    """Tell whether a contact may have been dropped from its standing for its age or by number.

    Those that drove it out may have been released since; but the oldest went first.
    """
    if any(each.decision_id == contact.decision_id for each in standing.contacts):
        return False
    if standing.contacts and contact.send_time_ms <= standing.contacts[0].send_time_ms:
        return True
    decisions = transaction.cursor(Table.DECISIONS)
    newest_ms = time_ms(decisions.key()) if decisions.last() else 0
    return contact.send_time_ms < newest_ms - STANDING_DAYS * _DAY_MS


def _is_being_erased(transaction: ReadTransaction, reservation: Reservation) -> bool:
    value = transaction.get(Table.TOMBSTONES, reservation.subject)
    if value is None:
        return False
    tombstone = decode_tombstone(reservation.subject, value)
    return tombstone.covers(reservation.subject, reservation.decision_id)


def _standing(transaction: ReadTransaction, key: bytes, value: bytes) -> str | None:
    for contact in decode_standing(key, value).contacts:
        if is_gone(transaction, contact.decision_id):
            continue  # a sweep of retention comes after it
        stored = transaction.get(Table.CONTACTS, contact.decision_id)
        if stored is None:
            return f"its contact {contact.decision_id.hex()} is missing"
        reservation = decode_reservation(contact.decision_id, stored)
        in_force = reservation.in_force
        if reservation.subject != key or in_force is None:
            return f"its contact {contact.decision_id.hex()} does not count"
        if replace(in_force, slots=()) != contact:
            return f"its contact {contact.decision_id.hex()} is another one"
    return None


def _audit(transaction: ReadTransaction, key: bytes, value: bytes) -> str | None:
    entry = decode_audit(key, value)
    return _missing(transaction, key) if entry.kind == AuditKind.CRITICAL else None


def _erased(transaction: ReadTransaction, key: bytes, _value: bytes) -> str | None:
    is_there = transaction.get(Table.DECISIONS, key) is not None
    return "the decision that was erased is there" if is_there else None


def _missing(transaction: ReadTransaction, decision_id: bytes) -> str | None:
    is_there = transaction.get(Table.DECISIONS, decision_id) is not None
    if is_there or is_gone(transaction, decision_id):
        return None
    return f"its decision {decision_id.hex()} is missing"


_CHECKS: Final[dict[Table, _Check]] = {
    Table.REQUESTS: _request,
    Table.CONTACTS: _reservation,
    Table.STANDINGS: _standing,
    Table.AUDIT: _audit,
    Table.ERASED: _erased,
}
