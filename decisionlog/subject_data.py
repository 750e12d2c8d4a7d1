"""All that a log holds of one subject, for whoever has to hand it over."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from decisionlog.codec import (
    decode_decision,
    decode_delivery,
    decode_request,
    decode_reward,
    decode_subject,
)
from decisionlog.contact_codec import decode_audit, decode_reservation
from decisionlog.contacts import AuditEntry, Reservation, Standing
from decisionlog.erasure import OnProgress
from decisionlog.errors import DamagedRecord
from decisionlog.records import Decision, Delivery, Reward
from decisionlog.removal import keys_of
from decisionlog.scan import row_slices
from decisionlog.standings import read_standing
from decisionlog.store import ReadTransaction, Store
from decisionlog.tables import Table
from decisionlog.tombstones import Tombstone, decode_tombstone


@dataclass(frozen=True, slots=True)
class Request:
    """A request id that is remembered, as a keyed hash."""

    request_key: bytes
    decision_id: bytes
    request_digest: bytes


Item = Decision | Delivery | Reward | Reservation | AuditEntry | Request | Standing | Tombstone
"""One thing that is held of a subject."""


def held_of(store: Store, subject: bytes, on_progress: OnProgress | None = None) -> Iterator[Item]:
    """Yield all that is held of a subject: decisions with what hangs on each, then the rest.

    Args:
        store: Where to read.
        subject: Pseudonym, 16 bytes.
        on_progress: Called with the rows looked at, of `erasure.rows_to_read`.

    Raises:
        DamagedRecord: One of the subject's records is not what was written.
    """
    advance = on_progress or (lambda _: None)
    decisions: set[bytes] = set()
    for rows in row_slices(store, Table.DECISIONS):
        ids = [key for key, value in rows if _is_of(key, value, subject)]
        decisions.update(ids)
        for decision_id in ids:
            with store.read() as transaction:
                found = list(_of_decision(transaction, decision_id))
            yield from found
        advance(len(rows))
    yield from _requests(store, decisions, advance)
    with store.read() as transaction:
        standing = read_standing(transaction, subject)
        tombstone = transaction.get(Table.TOMBSTONES, subject)
    if standing != Standing():
        yield standing
    if tombstone is not None:
        yield decode_tombstone(subject, tombstone)


def _is_of(key: bytes, value: bytes, subject: bytes) -> bool:
    try:
        return decode_subject(key, value) == subject
    except DamagedRecord:
        return False  # whose it is cannot be known


_Decode = Callable[[bytes, bytes], Item]
_BESIDE: tuple[tuple[Table, _Decode], ...] = (
    (Table.DECISIONS, decode_decision),
    (Table.CONTACTS, decode_reservation),
    (Table.AUDIT, decode_audit),
)
_REPORTS: tuple[tuple[Table, _Decode], ...] = (
    (Table.DELIVERIES, decode_delivery),
    (Table.REWARDS, decode_reward),
)


def _of_decision(transaction: ReadTransaction, decision_id: bytes) -> Iterator[Item]:
    for table, decode in _BESIDE:
        value = transaction.get(table, decision_id)
        if value is not None:
            yield decode(decision_id, value)
    for table, decode in _REPORTS:
        for key in keys_of(transaction, table, decision_id):
            value = transaction.get(table, key)
            if value is not None:
                yield decode(key, value)


def _requests(store: Store, decisions: set[bytes], advance: OnProgress) -> Iterator[Request]:
    for rows in row_slices(store, Table.REQUESTS):
        for key, value in rows:
            try:
                request = Request(key, *decode_request(key, value))
            except DamagedRecord:
                continue  # whose it is cannot be known
            if request.decision_id in decisions:
                yield request
        advance(len(rows))
