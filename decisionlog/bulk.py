"""Reads many rows at once, for those who decode them in bulk."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from decisionlog.store import ReadTransaction, Store
from decisionlog.tables import ID_BYTES, Table

SLICE_SIZE: Final = 8_192
"""Decisions read in one transaction, which takes about 10 ms."""
REPORTS_MAX: Final = 4 * SLICE_SIZE
"""Reports of one table that are read with them; where there are more, a slice has fewer decisions,
as long as it has one."""

_IDS: Final = 1 << 8 * ID_BYTES

Rows = list[tuple[bytes, bytes]]
"""Keys and values in plain form, in the order of the keys."""


@dataclass(frozen=True, slots=True)
class RawSlice:
    """All rows about a stretch of ids, as they were at one moment."""

    decisions: Rows
    deliveries: Rows
    """Whether their decisions are there or not."""
    rewards: Rows
    """Whether their decisions are there or not."""


def raw_slices(
    store: Store,
    *,
    start: bytes = b"",
    until: bytes | None = None,
    slice_size: int = SLICE_SIZE,
    reports_max: int = REPORTS_MAX,
) -> Iterator[RawSlice]:
    """Yield all rows on decisions and their reports, by stretches of ids that leave out nothing.

    Args:
        store: Where to read.
        start: The first id, or a `lower_bound`.
        until: The first id that is left out; None: up to the end.
        slice_size: The most decisions of a slice.
        reports_max: See `REPORTS_MAX`.
    """
    here: bytes | None = start
    while here is not None:
        with store.read() as transaction:
            found, here = _slice(transaction, here, until, (slice_size, reports_max))
        yield found


def _slice(
    transaction: ReadTransaction, start: bytes, until: bytes | None, sizes: tuple[int, int]
) -> tuple[RawSlice, bytes | None]:
    """Return a slice, and where the next one begins; None if nothing is left."""
    slice_size, reports_max = sizes
    decisions = transaction.rows(Table.DECISIONS, start, until, slice_size)
    is_last = len(decisions) < slice_size
    end = until if is_last else _following(decisions[-1][0])
    deliveries = _reports(transaction, Table.DELIVERIES, start, end, reports_max)
    rewards = _reports(transaction, Table.REWARDS, start, end, reports_max)
    for rows, is_cut in (deliveries, rewards):
        if is_cut:  # reports on the last id are missing: it begins the next slice
            cut = rows[-1][0][:ID_BYTES]
            end, is_last = cut if end is None else min(cut, end), False
    found = RawSlice(_before(decisions, end), _before(deliveries[0], end), _before(rewards[0], end))
    return found, None if is_last else end


def _reports(
    transaction: ReadTransaction, table: Table, start: bytes, end: bytes | None, most: int
) -> tuple[Rows, bool]:
    """Return reports from `start` on, of one id more than can be whole if they are cut."""
    rows = transaction.rows(table, start, end, most)
    full = most
    while len(rows) == full:
        if rows[-1][0][:ID_BYTES] > start[:ID_BYTES]:
            return rows, True
        # All are on one id, and have to come together.
        rows += transaction.rows(table, rows[-1][0] + b"\0", end, full)
        full *= 2
    return rows, False


def _before(rows: Rows, end: bytes | None) -> Rows:
    return rows if end is None else rows[: bisect_left(rows, end, key=itemgetter(0))]


def _following(decision_id: bytes) -> bytes:
    """Return what no key about this id or an earlier one reaches, and every later one does."""
    number = int.from_bytes(decision_id, "big") + 1
    return min(number, _IDS - 1).to_bytes(ID_BYTES, "big") + (
        b"\xff" * 32 if number == _IDS else b""
    )
