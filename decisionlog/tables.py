"""The log's tables and the keys of their rows."""

from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Final

ID_BYTES: Final = 16
REPORT_KEY_BYTES: Final = 2 * ID_BYTES


class Table(StrEnum):
    """A named table of the environment."""

    META = "meta"
    """Schema, key fingerprint and counters, by name."""
    DECISIONS = "decisions"
    """Decisions by their id."""
    DELIVERIES = "deliveries"
    """Deliveries by `report_key`."""
    REWARDS = "rewards"
    """Rewards by `report_key`."""
    REQUESTS = "requests"
    """Which decision answered which request, by `Keys.request_key`."""

    CONTACTS = "contacts"
    """What each decision reserved and what decides about it, by its id."""
    STANDINGS = "standings"
    """What counts for each subject, by its pseudonym."""
    BUDGETS = "budgets"
    """What was sent, by `budget_key`."""
    AUDIT = "audit"
    """What happened outside the usual rules, by ids that sort by time."""
    TOMBSTONES = "tombstones"
    """Which subjects were erased, by pseudonym."""
    ERASED = "erased"
    """Ids of decisions that were erased: reports on them are counted, not kept."""

    # An enum hashes in Python; tables are looked up for every row, so hash as the string they are.
    __hash__ = str.__hash__


ADDED_LATER: Final = frozenset(
    {
        Table.CONTACTS,
        Table.STANDINGS,
        Table.BUDGETS,
        Table.AUDIT,
        Table.TOMBSTONES,
        Table.ERASED,
    }
)
"""Tables that a log of this schema may lack: opening it for writing makes them, and to a reader
they are empty."""


BY_DECISION: Final = frozenset({Table.DECISIONS, Table.CONTACTS, Table.ERASED})
"""Tables with a row for a decision, by its id: where a new one looks what is there already."""


class Counter(StrEnum):
    """Something that is counted in the transaction in which it happens, for good.

    What is deleted later lowers no count: it is counted once more, as erased or expired, so that
    what is missing without a count is missed.
    """

    DECISIONS = "decisions_stored"
    DELIVERIES = "deliveries_stored"
    REWARDS = "rewards_stored"
    DELIVERIES_REPEATED = "deliveries_repeated"
    REWARDS_REPEATED = "rewards_repeated"
    CONTACTS = "contacts_reserved"
    DECISIONS_ERASED = "decisions_erased"
    DELIVERIES_ERASED = "deliveries_erased"
    REWARDS_ERASED = "rewards_erased"
    CONTACTS_ERASED = "contacts_erased"
    DECISIONS_EXPIRED = "decisions_expired"
    DELIVERIES_EXPIRED = "deliveries_expired"
    REWARDS_EXPIRED = "rewards_expired"
    CONTACTS_EXPIRED = "contacts_expired"

    __hash__ = str.__hash__


def report_key(decision_id: bytes, caller_id: str) -> bytes:
    """Return the key of a delivery or a reward.

    The decision comes first, so that all that is said about it lies together and in the order of
    the decisions; the caller's id is hashed, since it may be longer than a key can be.

    Args:
        decision_id: 16 bytes.
        caller_id: The caller's idempotency key within the decision.

    Returns:
        32 bytes.
    """
    digest = blake2b(caller_id.encode("utf-8", "surrogatepass"), digest_size=ID_BYTES).digest()
    return decision_id + digest


# A choice asks for each budget on each day of its windows, and hashing costs more than reading.
@lru_cache(maxsize=16_384)
def budget_key(kind: str, name: str, day: int) -> bytes:
    """Return the key of a budget's day.

    The day comes first, so that the rows that change lie together.

    Args:
        kind: "offer" or "channel".
        name: The offer's or the channel's, hashed since it may be longer than a key can be.
        day: Number of the day, 1 is 0001-01-01.

    Returns:
        20 bytes.

    Raises:
        OverflowError: The day is below 0 or does not fit into 32 bits.
    """
    of = f"{kind}\0{name}".encode("utf-8", "surrogatepass")
    return day.to_bytes(4, "big") + blake2b(of, digest_size=ID_BYTES).digest()
