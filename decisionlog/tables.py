"""The log's tables and the keys of their rows."""

from enum import StrEnum
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

    # An enum hashes in Python; tables are looked up for every row, so hash as the string they are.
    __hash__ = str.__hash__


class Counter(StrEnum):
    """Something that is counted in the transaction in which it happens, for good.

    What is deleted later lowers no count, so that it is missed.
    """

    DECISIONS = "decisions_stored"
    DELIVERIES = "deliveries_stored"
    REWARDS = "rewards_stored"
    DELIVERIES_REPEATED = "deliveries_repeated"
    REWARDS_REPEATED = "rewards_repeated"

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
