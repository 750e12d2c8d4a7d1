"""What a log has between two decision ids, without reading its records."""

from itertools import takewhile
from typing import Final

from decisionlog import schema
from decisionlog.cursors import keys_from
from decisionlog.store import ReadTransaction, Store
from decisionlog.tables import ID_BYTES, Table

LOGGED: Final = (Table.DECISIONS, Table.DELIVERIES, Table.REWARDS)
_SLICE_ROWS: Final = 20_000


def first_from(store: Store, start: bytes) -> bytes | None:
    """Return the first decision id from one on that there is a decision or a report of."""
    with store.read() as transaction:
        firsts = [next(keys_from(transaction.cursor(table), start), None) for table in LOGGED]
    return min((first[:ID_BYTES] for first in firsts if first is not None), default=None)


def counts_between(store: Store, start: bytes, until: bytes | None) -> dict[str, int]:
    """Return how many decisions, deliveries and rewards are of decisions between two ids."""
    return {table.value: _count(store, table, start, until) for table in LOGGED}


def expired_until(store: Store) -> bytes:
    """Return the first decision id that retention has not removed; empty if it never did."""
    with store.read() as transaction:
        return schema.expired_before(transaction)


def _count(store: Store, table: Table, start: bytes, until: bytes | None) -> int:
    count = 0
    while True:
        with store.read() as transaction:
            keys = _keys(transaction, table, start, until)
        count += len(keys)
        if len(keys) < _SLICE_ROWS:
            return count
        start = keys[-1] + b"\0"


def _keys(
    transaction: ReadTransaction, table: Table, start: bytes, until: bytes | None
) -> list[bytes]:
    """Return the next keys, a bounded number."""
    keys = keys_from(transaction.cursor(table), start)
    inside = keys if until is None else takewhile(lambda key: key < until, keys)
    return [key for key, _ in zip(inside, range(_SLICE_ROWS), strict=False)]
