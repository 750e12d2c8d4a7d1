"""Sums by unit of independence: all rows of a subject, or a row that stands for itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from replay.errors import MergeError
from replay.sample import Ints
from replay.sums import Floats

UNITS_MAX = 2**20
"""Units kept apart. Beyond them they are put into groups, so that memory stays bounded."""
GROUPS = 2**18
"""Groups that more units are put into. Sums over independent units are independent as well, so that
variances and skewness made from groups are right; a quarter of a million of them leave a
relative error of 0.3% in a standard error."""
SUMS_MAX = 2**22
"""Sums of all units together, 32 MiB: of many columns fewer units are kept apart, in fewer groups.
Of the 58 columns that the estimators by moments need together these are 71,089 units, and 65,536
groups, which leave 0.6%."""

_PENDING_ROWS = 2**17
"""Rows gathered before they are added up by unit."""


class Limits(NamedTuple):
    """How many sums are kept."""

    units: int
    """As many are kept apart."""
    groups: int
    """More of them are put into so many groups."""


def limits_of(width: int) -> Limits:
    """The limits for sums of so many columns, and of rows."""
    most = min(UNITS_MAX, SUMS_MAX // (width + 1))
    return Limits(most, min(GROUPS, 1 << (most.bit_length() - 1)))


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """Sums of k columns over each of g units, in the order of their ids."""

    ids: Ints
    """Shape (g,), rising."""
    sizes: Floats
    """Rows of each unit, shape (g,)."""
    sums: Floats
    """Shape (k, g)."""
    grouped: bool
    """Whether several units share a sum, since there were too many."""

    @property
    def count(self) -> int:
        """Units, or groups of them."""
        return int(self.ids.size)

    @property
    def rows(self) -> float:
        """Rows of all units."""
        return float(self.sizes.sum())


class UnitSums:
    """Adds rows up by unit in bounded memory; chunks and processes merge, in any order.

    At most so many units are kept as `limits_of` the columns says. From the next one on, ids are
    put into groups by a hash, which is the same whenever it happens.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._limits = limits_of(width)
        self._pending: list[tuple[Ints, NDArray[np.float64]]] = []
        self._pending_rows = 0
        self._ids: Ints = np.zeros(0, dtype=np.int64)
        self._table = np.zeros((width + 1, 0))
        self._grouped = False

    def add(self, ids: Ints, *columns: Floats) -> None:
        """Take in rows: the unit of each, and k columns of the same length."""
        if ids.size:
            self._append(ids, np.stack((np.ones(ids.size), *columns)))

    def merge(self, other: "UnitSums") -> None:
        """Take in what another one has seen.

        Raises:
            MergeError: The other one holds another number of columns.
        """
        if other.width != self.width:
            raise MergeError(f"{self.width} columns", f"{other.width} columns")
        theirs = other.units()
        if theirs.grouped and not self._grouped:
            self._settle()
            self._group()
        self._append(theirs.ids, np.vstack((theirs.sizes, theirs.sums)))

    def units(self) -> Units:
        """The sums of all rows so far."""
        self._settle()
        return Units(self._ids, self._table[0], self._table[1:], self._grouped)

    def __getstate__(self) -> dict[str, object]:
        """What travels between processes: nothing that waits."""
        self._settle()
        return self.__dict__

    def _append(self, ids: Ints, table: NDArray[np.float64]) -> None:
        self._pending.append((ids, table))
        self._pending_rows += ids.size
        if self._pending_rows > max(_PENDING_ROWS, self._ids.size):
            self._settle()

    def _settle(self) -> None:
        """Add up all that waits."""
        if not self._pending:
            return
        ids = [self._group_of(ids) if self._grouped else ids for ids, _ in self._pending]
        tables = [table for _, table in self._pending]
        self._pending, self._pending_rows = [], 0
        self._ids, self._table = _added_up((self._ids, *ids), (self._table, *tables))
        if self._ids.size > self._limits.units and not self._grouped:
            self._group()

    def _group(self) -> None:
        self._ids, self._table = _added_up((self._group_of(self._ids),), (self._table,))
        self._grouped = True

    def _group_of(self, ids: Ints) -> Ints:
        """The group of each id; a group keeps its own number.

        Small ids may be groups already, so that they stay.
        """
        groups = self._limits.groups
        return np.where((ids >= 0) & (ids < groups), ids, dealt(ids, groups))


def _added_up(
    ids: Sequence[Ints], tables: Sequence[NDArray[np.float64]]
) -> tuple[Ints, NDArray[np.float64]]:
    """Columns of the same id added up, in the order of the ids.

    Line by line: tables of many columns are large, and would be copied whole otherwise.
    """
    whole = np.concatenate(ids)
    order = np.argsort(whole, kind="stable")
    whole = whole[order]
    starts = np.flatnonzero(np.diff(whole, prepend=whole[:1] - 1)) if whole.size else order
    sums = np.empty((tables[0].shape[0], starts.size))
    for line, into in enumerate(sums):
        np.add.reduceat(np.concatenate([one[line] for one in tables])[order], starts, out=into)
    return whole[starts], sums


def dealt(ids: Ints, groups: int) -> Ints:
    """Deals ids into groups as if by lot, by the finaliser of SplitMix64 (Steele, Lea, Flood 2014).

    Args:
        ids: Shape (n,).
        groups: How many, at least 1.

    Returns:
        Numbers from 0 on, shape (n,); the same id always has the same one.
    """
    mixed = ids.astype(np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed % np.uint64(groups)).astype(np.int64)
