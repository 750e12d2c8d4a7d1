"""How much a log holds, and how much it has ever taken."""

from dataclasses import dataclass

from decisionlog import schema
from decisionlog.removal import ERASED, EXPIRED, Removed, removed
from decisionlog.store import ReadTransaction
from decisionlog.tables import Counter, Table


@dataclass(frozen=True, slots=True)
class Counts:
    """What the log holds, at one moment."""

    decisions: int
    deliveries: int
    rewards: int
    requests: int
    """Request ids that are remembered."""
    deliveries_repeated: int
    """Reports that were taken before and are not stored again."""
    rewards_repeated: int
    """Reports that were taken before and are not stored again."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What the log has ever taken, counted when it was stored: what was deleted since is in it."""

    decisions: int
    deliveries: int
    rewards: int
    deliveries_repeated: int
    """Reports that were taken before and are not stored again."""
    rewards_repeated: int
    """Reports that were taken before and are not stored again."""
    contacts: int
    """Messages that decisions reserved."""
    erased: Removed
    """What of it was erased with its subject."""
    expired: Removed
    """What of it was removed by retention."""


def read_counts(transaction: ReadTransaction) -> Counts:
    """Return what the log holds."""
    return Counts(
        decisions=transaction.count(Table.DECISIONS),
        deliveries=transaction.count(Table.DELIVERIES),
        rewards=transaction.count(Table.REWARDS),
        requests=transaction.count(Table.REQUESTS),
        deliveries_repeated=schema.count(transaction, Counter.DELIVERIES_REPEATED),
        rewards_repeated=schema.count(transaction, Counter.REWARDS_REPEATED),
    )


def read_taken(transaction: ReadTransaction) -> Taken:
    """Return what the log has ever taken."""
    return Taken(
        decisions=schema.count(transaction, Counter.DECISIONS),
        deliveries=schema.count(transaction, Counter.DELIVERIES),
        rewards=schema.count(transaction, Counter.REWARDS),
        deliveries_repeated=schema.count(transaction, Counter.DELIVERIES_REPEATED),
        rewards_repeated=schema.count(transaction, Counter.REWARDS_REPEATED),
        contacts=schema.count(transaction, Counter.CONTACTS),
        erased=removed(transaction, ERASED),
        expired=removed(transaction, EXPIRED),
    )
