"""Removes what is too old or too much, the oldest first, in bounded transactions.

A decision goes together with its reports and its reservation; what others refer to them by (request
ids, standings, days of budgets) follows in a sweep of its own, so that no transaction is long.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import Final

from decisionlog import schema
from decisionlog.codec import decode_request
from decisionlog.contact_codec import decode_standing, encode_standing
from decisionlog.contacts import Standing
from decisionlog.cursors import keys_from, rows_from
from decisionlog.errors import DamagedRecord, LogFull
from decisionlog.ids import time_ms
from decisionlog.operations import is_gone
from decisionlog.removal import (
    EXPIRED,
    Removed,
    delete_all,
    is_reserved,
    note_removed,
)
from decisionlog.store import ReadTransaction, Store, WriteTransaction
from decisionlog.tables import ID_BYTES, Table

SLICE_ROWS: Final = 256
"""Rows of each table that one transaction removes: others wait for so many."""
SWEEP_ROWS: Final = 1_000
"""Rows that one step of a sweep looks at."""

_BY_DECISION: Final = (
    Table.DECISIONS,
    Table.CONTACTS,
    Table.DELIVERIES,
    Table.REWARDS,
    Table.ERASED,
)
_DAY_MS: Final = 86_400_000
_DAY_BYTES: Final = 4
# Days of budgets are those of the catalog's zone, which may be a day off from ours.
_BUDGET_DAYS_KEPT: Final = 2


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is to be swept out."""

    before: bytes
    """Decisions before this id count no more for their subjects."""
    requests_before: bytes
    """Request ids that decisions before this id answered are forgotten."""


def used_bytes(store: Store) -> int:
    """Return how much of the log's file is in use."""
    with store.read() as transaction:
        return transaction.used_bytes()


def oldest(store: Store) -> bytes | None:
    """Return the id of the oldest decision that is there, None if there is none."""
    with store.read() as transaction:
        return next(keys_from(transaction.cursor(Table.DECISIONS), b""), None)


def rows_to_sweep(store: Store) -> int:
    """Return how many rows both sweeps together look at."""
    with store.read() as transaction:
        return transaction.count(Table.REQUESTS) + transaction.count(Table.STANDINGS)


def expire_with_little_room(store: Store, before: bytes) -> Removed | None:
    """Do as `expire`; where the map is too full to change many pages, remove fewer rows at once.

    Raises:
        LogFull: There is not even room to remove one.
    """
    rows = SLICE_ROWS
    while True:
        try:
            return expire(store, before, rows)
        except LogFull:
            if rows == 1:
                raise
            rows //= 4


def expire(store: Store, before: bytes, rows: int = SLICE_ROWS) -> Removed | None:
    """Remove the oldest decisions with all that hangs on them, in one short transaction.

    Args:
        store: Open for writing.
        before: 16 bytes; decisions from this id on stay, and so do reports on them.
        rows: The most rows of a table to remove; exceeded only where one decision has more reports.

    Returns:
        What went; None if nothing was left to remove.
    """
    with store.write() as transaction:
        until = _slice_end(transaction, before, rows)
        if until is None:
            return None
        gone = _expire_until(transaction, until)
        note_removed(transaction, EXPIRED, gone)
        schema.note_expired(transaction, until)
        return gone


def _slice_end(transaction: ReadTransaction, before: bytes, rows: int) -> bytes | None:
    """Return the id up to which no table has more rows than may go; None if none has any."""
    ends, firsts = [before], []
    for table in _BY_DECISION:
        keys = [
            key[:ID_BYTES] for key in islice(keys_from(transaction.cursor(table), b""), rows + 1)
        ]
        keys = [key for key in keys if key < before]
        firsts += keys[:1]
        ends += keys[rows:]
    if not firsts:
        return None
    first = min(firsts)
    return max(min(ends), _next(first))


def _next(decision_id: bytes) -> bytes:
    return (int.from_bytes(decision_id, "big") + 1).to_bytes(ID_BYTES, "big")


def _expire_until(transaction: WriteTransaction, until: bytes) -> Removed:
    keys = {table: _before(transaction, table, until) for table in _BY_DECISION}
    contacts = sum(is_reserved(transaction, key) for key in keys[Table.CONTACTS])
    delete_all(transaction, Table.AUDIT, keys[Table.DECISIONS])
    counts = {table: delete_all(transaction, table, found) for table, found in keys.items()}
    return Removed(
        counts[Table.DECISIONS], counts[Table.DELIVERIES], counts[Table.REWARDS], contacts
    )


def _before(
    transaction: ReadTransaction, table: Table, until: bytes, rows: int | None = None
) -> list[bytes]:
    keys = takewhile(lambda key: key < until, keys_from(transaction.cursor(table), b""))
    return list(islice(keys, rows))


def forget_budgets(store: Store, before_ms: int, rows: int = SLICE_ROWS) -> int:
    """Remove days of budgets from before a time; return how many, at most so many at once."""
    day = datetime.fromtimestamp(before_ms / 1000, UTC).toordinal() - _BUDGET_DAYS_KEPT
    until = max(day, 0).to_bytes(_DAY_BYTES, "big")
    with store.write() as transaction:
        keys = _before(transaction, Table.BUDGETS, until, rows)
        return delete_all(transaction, Table.BUDGETS, keys)


def sweep_requests(store: Store, position: bytes, sweep: Sweep) -> bytes | None:
    """Forget old request ids and those of decisions that are gone, some rows at a time.

    Returns:
        Where to go on; None at the end of the table.
    """
    return _step(store, Table.REQUESTS, position, lambda t, k, v: _request_left(t, k, v, sweep))


def sweep_standings(store: Store, position: bytes, sweep: Sweep) -> bytes | None:
    """Let decisions that have expired count no more for their subjects, some rows at a time.

    Returns:
        Where to go on; None at the end of the table.
    """
    return _step(store, Table.STANDINGS, position, lambda _, k, v: _standing_left(k, v, sweep))


_Left = Callable[[ReadTransaction, bytes, bytes], bytes | None]
"""What is left of a row's value: itself, something less, or None."""


def _step(store: Store, table: Table, position: bytes, left: _Left) -> bytes | None:
    """Look at some rows; write only if some of them are to change, which most steps need not."""
    with store.read() as transaction:
        rows = islice(rows_from(transaction.cursor(table), position), SWEEP_ROWS)
        looked = [(key, left(transaction, key, value) != value) for key, value in rows]
    changing = [key for key, is_changing in looked if is_changing]
    for start in range(0, len(changing), SLICE_ROWS):
        _change(store, table, changing[start : start + SLICE_ROWS], left)
    return None if len(looked) < SWEEP_ROWS else looked[-1][0] + b"\0"


def _change(store: Store, table: Table, keys: Sequence[bytes], left: _Left) -> None:
    try:
        _change_at_once(store, table, keys, left)
    except LogFull:
        if len(keys) == 1:
            raise
        half = len(keys) // 2  # a full map has no pages left to change many with
        _change(store, table, keys[:half], left)
        _change(store, table, keys[half:], left)


def _change_at_once(store: Store, table: Table, keys: Iterable[bytes], left: _Left) -> None:
    with store.write() as transaction:
        for key in keys:
            value = transaction.get(table, key)  # it may have changed since it was looked at
            now = None if value is None else left(transaction, key, value)
            if now is None:
                transaction.delete(table, key)
            elif now != value:
                transaction.put(table, key, now)


def _request_left(
    transaction: ReadTransaction, key: bytes, value: bytes, sweep: Sweep
) -> bytes | None:
    try:
        decision_id, _ = decode_request(key, value)
    except DamagedRecord:
        return value  # `check-log` names it; to remove it would hide the damage
    is_old = decision_id < sweep.requests_before
    return None if is_old or is_gone(transaction, decision_id) else value


def _standing_left(key: bytes, value: bytes, sweep: Sweep) -> bytes | None:
    try:
        standing = decode_standing(key, value)
    except DamagedRecord:
        return value
    since_ms = time_ms(sweep.before)
    left = Standing(
        # One that was asked for a late send time outlives its decision: rules look at that time.
        tuple(
            each
            for each in standing.contacts
            if each.decision_id >= sweep.before or each.send_time_ms >= since_ms
        ),
        tuple(each for each in standing.responses if each.decision_id >= sweep.before),
    )
    if left == standing:
        return value
    return None if left == Standing() else encode_standing(key, left)
