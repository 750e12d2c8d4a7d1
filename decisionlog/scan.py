"""Reads the log in the order of its decisions, in slices of bounded size.

Every slice is one short read transaction: a long one would keep freed pages from being used again
and bloat the file for ever. So a slice is one moment, and what is written during a scan may or may
not be seen; bound a scan with `until` to keep away from the moving end. Rows are decoded after
their transaction has ended, so the consumer may take as long as it likes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from decisionlog.codec import decode_decision, decode_delivery, decode_reward
from decisionlog.cursors import Cursor, rows_from
from decisionlog.errors import DamagedRecord
from decisionlog.records import Decision, Delivery, Reward
from decisionlog.store import ReadTransaction, Store
from decisionlog.tables import ID_BYTES, Table

DEFAULT_SLICE_SIZE: Final = 1000

OnDamage = Callable[[DamagedRecord], None]

_Record = TypeVar("_Record")


class _Row(NamedTuple):
    key: bytes
    value: bytes


class _RawDecision(NamedTuple):
    decision: _Row
    deliveries: list[_Row]
    rewards: list[_Row]


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """A decision with all that was reported on it."""

    decision: Decision
    deliveries: tuple[Delivery, ...]
    """In the order of their keys, which says nothing of time."""
    rewards: tuple[Reward, ...]
    """In the order of their keys, which says nothing of time."""


def raise_damage(damage: DamagedRecord) -> None:
    """Stop at the first damaged record."""
    raise damage


def scan(
    store: Store,
    *,
    start: bytes = b"",
    until: bytes | None = None,
    slice_size: int = DEFAULT_SLICE_SIZE,
    on_damage: OnDamage = raise_damage,
) -> Iterator[LoggedDecision]:
    """Yield decisions with their reports, in the order of their ids.

    Args:
        store: Where to read.
        start: The first id, or a `lower_bound`.
        until: The first id that is left out; None: up to the end.
        slice_size: Decisions read in one transaction.
        on_damage: Told of each damaged record, which is then left out.

    Raises:
        DamagedRecord: Raised by the default `on_damage`.
        ValueError: The slice size is below 1.
    """
    _check_slice_size(slice_size)
    while True:
        with store.read() as transaction:
            raws = _decision_slice(transaction, start, until, slice_size)
        for raw in raws:
            yield from _logged(raw, on_damage)
        if len(raws) < slice_size:
            return
        start = _after(raws[-1].decision.key)


def orphans(
    store: Store,
    *,
    start: bytes = b"",
    until: bytes | None = None,
    slice_size: int = DEFAULT_SLICE_SIZE,
    on_damage: OnDamage = raise_damage,
) -> Iterator[Delivery | Reward]:
    """Yield the deliveries, then the rewards, whose decision is not in the log.

    Args:
        store: Where to read.
        start: The first decision's id.
        until: The first one that is left out; None: up to the end.
        slice_size: Reports looked at in one transaction.
        on_damage: Told of each damaged record, which is then left out.

    Raises:
        DamagedRecord: Raised by the default `on_damage`.
        ValueError: The slice size is below 1.
    """
    _check_slice_size(slice_size)
    bounds = (start, until, slice_size)
    for row in _orphan_rows(store, Table.DELIVERIES, *bounds):
        yield from _decoded(decode_delivery, (row,), on_damage)
    for row in _orphan_rows(store, Table.REWARDS, *bounds):
        yield from _decoded(decode_reward, (row,), on_damage)


def rows_of(  # noqa: PLR0913 - what bounds a scan
    store: Store,
    table: Table,
    decode: Callable[[bytes, bytes], _Record],
    *,
    start: bytes = b"",
    until: bytes | None = None,
    slice_size: int = DEFAULT_SLICE_SIZE,
    on_damage: OnDamage = raise_damage,
) -> Iterator[_Record]:
    """Yield the records of one table, in the order of their keys.

    Args:
        store: Where to read.
        table: Which table.
        decode: Makes the record of a key and a value.
        start: The first key, or a `lower_bound`.
        until: The first key that is left out; None: up to the end.
        slice_size: Rows read in one transaction.
        on_damage: Told of each damaged record, which is then left out.

    Raises:
        DamagedRecord: Raised by the default `on_damage`.
        ValueError: The slice size is below 1.
    """
    for rows in row_slices(store, table, start=start, until=until, slice_size=slice_size):
        for row in rows:
            yield from _decoded(decode, (row,), on_damage)


def row_slices(
    store: Store,
    table: Table,
    *,
    start: bytes = b"",
    until: bytes | None = None,
    slice_size: int = DEFAULT_SLICE_SIZE,
) -> Iterator[Sequence[_Row]]:
    """Yield the rows of a table as they are stored, in the order of their keys, slice by slice.

    Raises:
        ValueError: The slice size is below 1.
    """
    _check_slice_size(slice_size)
    while True:
        with store.read() as transaction:
            rows = list(islice(_rows(transaction.cursor(table), start), slice_size))
        is_last = len(rows) < slice_size
        start = b"" if is_last else _after(rows[-1].key)
        yield rows if until is None else [row for row in rows if row.key < until]
        if is_last or (until is not None and start > until):
            return


def _check_slice_size(slice_size: int) -> None:
    if slice_size < 1:
        raise ValueError(f"a slice of {slice_size} decisions never ends")


def _after(key: bytes) -> bytes:
    """Return the key that comes next after a key."""
    return key + b"\0"


def _rows(cursor: Cursor, start: bytes) -> Iterator[_Row]:
    return map(_Row._make, rows_from(cursor, start))


def _decision_slice(
    transaction: ReadTransaction, start: bytes, until: bytes | None, slice_size: int
) -> list[_RawDecision]:
    deliveries = transaction.cursor(Table.DELIVERIES)
    rewards = transaction.cursor(Table.REWARDS)
    raws: list[_RawDecision] = []
    for row in _rows(transaction.cursor(Table.DECISIONS), start):
        if len(raws) == slice_size or (until is not None and row.key >= until):
            break
        raws.append(_RawDecision(row, _reports(deliveries, row.key), _reports(rewards, row.key)))
    return raws


def _reports(cursor: Cursor, decision_id: bytes) -> list[_Row]:
    """Return the reports on one decision, and leave the cursor behind them."""
    # The cursor stands behind the reports on the decision before, or nowhere yet. Orphans in
    # between are jumped over, however many they are.
    if cursor.key() < decision_id and not cursor.set_range(decision_id):
        return []
    found = []
    while cursor.key()[:ID_BYTES] == decision_id:
        found.append(_Row(cursor.key(), cursor.value()))
        if not cursor.next():
            break
    return found


def _orphan_rows(
    store: Store, table: Table, start: bytes, until: bytes | None, slice_size: int
) -> Iterator[_Row]:
    for rows in row_slices(store, table, start=start, until=until, slice_size=slice_size):
        with store.read() as transaction:
            found = _without_decision(transaction, rows)
        yield from found


def _without_decision(transaction: ReadTransaction, rows: Sequence[_Row]) -> list[_Row]:
    ids = {row.key[:ID_BYTES] for row in rows}
    unknown = {id_ for id_ in ids if transaction.get(Table.DECISIONS, id_) is None}
    return [row for row in rows if row.key[:ID_BYTES] in unknown]


def _logged(raw: _RawDecision, on_damage: OnDamage) -> Iterator[LoggedDecision]:
    deliveries = tuple(_decoded(decode_delivery, raw.deliveries, on_damage))
    rewards = tuple(_decoded(decode_reward, raw.rewards, on_damage))
    for decision in _decoded(decode_decision, (raw.decision,), on_damage):
        yield LoggedDecision(decision, deliveries, rewards)


def _decoded(
    decode: Callable[[bytes, bytes], _Record], rows: Iterable[_Row], on_damage: OnDamage
) -> list[_Record]:
    """Return the records of rows, without those that are damaged."""
    found = []
    for key, value in rows:
        try:
            found.append(decode(key, value))
        except DamagedRecord as damage:
            on_damage(damage)
    return found
