"""Removes decisions with all that hangs on them, and counts what went."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Final, Self

from decisionlog.contact_codec import decode_reservation
from decisionlog.cursors import keys_from
from decisionlog.errors import DamagedRecord
from decisionlog.schema import count, increase
from decisionlog.store import ReadTransaction, WriteTransaction
from decisionlog.tables import Counter, Table

REPORT_TABLES: Final = (Table.DELIVERIES, Table.REWARDS)


@dataclass(frozen=True, slots=True)
class Removed:
    """How many records went."""

    decisions: int = 0
    deliveries: int = 0
    rewards: int = 0
    contacts: int = 0
    """Messages that the decisions had reserved."""

    def __add__(self, other: Self) -> "Removed":
        return Removed(
            self.decisions + other.decisions,
            self.deliveries + other.deliveries,
            self.rewards + other.rewards,
            self.contacts + other.contacts,
        )

    @property
    def total(self) -> int:
        """All of them."""
        return self.decisions + self.deliveries + self.rewards + self.contacts


ERASED: Final = (
    Counter.DECISIONS_ERASED,
    Counter.DELIVERIES_ERASED,
    Counter.REWARDS_ERASED,
    Counter.CONTACTS_ERASED,
)
EXPIRED: Final = (
    Counter.DECISIONS_EXPIRED,
    Counter.DELIVERIES_EXPIRED,
    Counter.REWARDS_EXPIRED,
    Counter.CONTACTS_EXPIRED,
)
Counters = tuple[Counter, Counter, Counter, Counter]
"""Where decisions, deliveries, rewards and contacts are counted when they go."""


def removed(transaction: ReadTransaction, counters: Counters) -> Removed:
    """Return what has ever gone for one reason."""
    return Removed(*(count(transaction, counter) for counter in counters))


def note_removed(transaction: WriteTransaction, counters: Counters, gone: Removed) -> None:
    """Count what goes in this transaction."""
    counts = (gone.decisions, gone.deliveries, gone.rewards, gone.contacts)
    for counter, number in zip(counters, counts, strict=True):
        if number:
            increase(transaction, counter, number)


def remove_decision(transaction: WriteTransaction, decision_id: bytes) -> Removed:
    """Remove a decision, its reports, its reservation and its entry in the audit trail.

    Its request id stays: only `requests` tells which it is. It answers nobody any more.
    """
    contacts = is_reserved(transaction, decision_id)
    transaction.delete(Table.CONTACTS, decision_id)
    transaction.delete(Table.AUDIT, decision_id)
    deliveries, rewards = (
        delete_all(transaction, table, keys_of(transaction, table, decision_id))
        for table in REPORT_TABLES
    )
    is_there = transaction.delete(Table.DECISIONS, decision_id)
    return Removed(int(is_there), deliveries, rewards, int(contacts))


def is_reserved(transaction: ReadTransaction, decision_id: bytes) -> bool:
    """Tell whether a decision reserved a message; a damaged reservation counts as none."""
    value = transaction.get(Table.CONTACTS, decision_id)
    try:
        return value is not None and decode_reservation(decision_id, value).contact is not None
    except DamagedRecord:
        return False


def delete_all(transaction: WriteTransaction, table: Table, keys: Iterable[bytes]) -> int:
    """Delete rows; return how many there were."""
    # The keys are collected first: a cursor does not survive what is deleted under it.
    return sum(transaction.delete(table, key) for key in list(keys))


def keys_of(transaction: ReadTransaction, table: Table, decision_id: bytes) -> Iterator[bytes]:
    """Yield the keys of the reports on a decision."""
    keys = keys_from(transaction.cursor(table), decision_id)
    return takewhile(lambda key: key.startswith(decision_id), keys)
