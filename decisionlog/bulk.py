"""Reads many rows at once, for those who decode them in bulk."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain, takewhile
from typing import Final

from decisionlog.store import ReadTransaction, Store
from decisionlog.tables import ID_BYTES, Table

SLICE_SIZE: Final = 8_192
"""Decisions read in one transaction, which takes about 10 ms."""
SLICE_BYTES: Final = 8 * 2**20
"""What the decisions of a slice take together; where they are larger, a slice has fewer."""
REPORTS_MAX: Final = 4 * SLICE_SIZE
"""Reports of one table that are read with them; where there are more, a slice has fewer decisions,
as long as it has one."""

_IDS: Final = 1 << 8 * ID_BYTES


class Rows:
    """Rows of a table in plain form, in the order of their keys, joined as they come.

    The objects of hundreds of rows are given up before the next ones are made, so that they take
    the same memory, which the processor has at hand.
    """

    def __init__(self, blocks: Iterable[list[tuple[bytes, bytes]]] = ()) -> None:
        """Join what there is."""
        self.sizes = array("q")
        """Of each key and, after it, of its value."""
        self.last_key = b""
        self.size_bytes = 0
        """Of keys and values together."""
        self._parts: list[bytes] = []
        self._ends: list[int] = []
        self.add(blocks)

    def __len__(self) -> int:
        return len(self.sizes) // 2

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, place: int) -> tuple[bytes, bytes]:
        """Return the key and the value of a row."""
        if not 0 <= place < len(self):
            raise IndexError(place)
        if not self._ends:
            self._ends = list(accumulate(self.sizes))
        data, begin = self.data, self._ends[2 * place]
        return data[begin - self.sizes[2 * place] : begin], data[begin : self._ends[2 * place + 1]]

    @property
    def data(self) -> bytes:
        """Keys and values, joined."""
        if len(self._parts) != 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0]

    def add(self, blocks: Iterable[list[tuple[bytes, bytes]]]) -> None:
        """Join the rows that follow."""
        self._ends = []
        for block in blocks:
            flat = list(chain.from_iterable(block))
            self._parts.append(b"".join(flat))
            self.size_bytes += len(self._parts[-1])
            self.sizes.extend(map(len, flat))
            self.last_key = block[-1][0]

    def before(self, end: bytes) -> "Rows":
        """Return the rows whose keys are below an end."""
        return Rows([[row] for row in takewhile(lambda row: row[0] < end, self)])


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a slice has at most, so that it takes little memory and its transaction is short."""

    decisions: int = SLICE_SIZE
    size_bytes: int = SLICE_BYTES
    """Of the decisions; exceeded by less than a block of rows."""
    reports: int = REPORTS_MAX
    """Of one table."""


DEFAULT_BOUNDS: Final = Bounds()


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
    bounds: Bounds = DEFAULT_BOUNDS,
) -> Iterator[RawSlice]:
    """Yield all rows on decisions and their reports, by stretches of ids that leave out nothing.

    Args:
        store: Where to read.
        start: The first id, or a `lower_bound`.
        until: The first id that is left out; None: up to the end.
        bounds: Of a slice.
    """
    here: bytes | None = start
    while here is not None:
        with store.read() as transaction:
            found, here = _slice(transaction, here, until, bounds)
        yield found


def table_slices(
    store: Store,
    table: Table,
    *,
    start: bytes = b"",
    until: bytes | None = None,
    slice_size: int = SLICE_SIZE,
) -> Iterator[Rows]:
    """Yield all rows of one table; arguments as those of `raw_slices`, a slice by its rows."""
    while True:
        with store.read() as transaction:
            rows = Rows(transaction.blocks(table, start, until, slice_size))
        yield rows
        if len(rows) < slice_size:
            return
        start = rows.last_key + b"\0"


def _slice(
    transaction: ReadTransaction, start: bytes, until: bytes | None, bounds: Bounds
) -> tuple[RawSlice, bytes | None]:
    """Return a slice, and where the next one begins; None if nothing is left."""
    decisions, is_last = _decisions(transaction, start, until, bounds)
    end = until if is_last else _following(decisions.last_key)
    most = bounds.reports
    deliveries, is_first_cut = _reports(transaction, Table.DELIVERIES, start, end, most)
    rewards, is_second_cut = _reports(transaction, Table.REWARDS, start, end, most)
    # Where they are cut, reports on the last id are missing: it begins the next slice.
    cuts = [deliveries.last_key[:ID_BYTES]] * is_first_cut
    cuts += [rewards.last_key[:ID_BYTES]] * is_second_cut
    if not cuts:
        return RawSlice(decisions, deliveries, rewards), None if is_last else end
    end = min(cuts)
    return RawSlice(decisions.before(end), deliveries.before(end), rewards.before(end)), end


def _decisions(
    transaction: ReadTransaction, start: bytes, until: bytes | None, bounds: Bounds
) -> tuple[Rows, bool]:
    """Return the decisions of a slice, and whether they are the last ones."""
    rows = Rows()
    for block in transaction.blocks(Table.DECISIONS, start, until, bounds.decisions):
        rows.add([block])
        if rows.size_bytes >= bounds.size_bytes:
            return rows, False
    return rows, len(rows) < bounds.decisions


def _reports(
    transaction: ReadTransaction, table: Table, start: bytes, end: bytes | None, most: int
) -> tuple[Rows, bool]:
    """Return reports from `start` on, of one id more than can be whole if they are cut."""
    rows = Rows(transaction.blocks(table, start, end, most))
    full = most
    while len(rows) == full:
        if rows.last_key[:ID_BYTES] > start[:ID_BYTES]:
            return rows, True
        # All are on one id, and have to come together.
        rows.add(transaction.blocks(table, rows.last_key + b"\0", end, full))
        full *= 2
    return rows, False


def _following(decision_id: bytes) -> bytes:
    """Return what no key about this id or an earlier one reaches, and every later one does."""
    number = int.from_bytes(decision_id, "big") + 1
    return min(number, _IDS - 1).to_bytes(ID_BYTES, "big") + (
        b"\xff" * 32 if number == _IDS else b""
    )
