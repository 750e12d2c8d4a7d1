"""Sums by unit of independence: all rows of a subject, or a row that stands for itself."""

from dataclasses import dataclass

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

_PENDING_ROWS = 2**17
"""Rows gathered before they are added up by unit."""


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

    At most `UNITS_MAX` units are kept. From the next one on, ids are put into `GROUPS` groups by a
    hash, which is the same whenever it happens.
    """

    def __init__(self, width: int) -> None:
        self.width = width
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
        ids = [_group_of(ids) if self._grouped else ids for ids, _ in self._pending]
        tables = [table for _, table in self._pending]
        self._pending, self._pending_rows = [], 0
        self._ids, self._table = _added_up(
            np.concatenate((self._ids, *ids)), np.concatenate((self._table, *tables), axis=1)
        )
        if self._ids.size > UNITS_MAX and not self._grouped:
            self._group()

    def _group(self) -> None:
        self._ids, self._table = _added_up(_group_of(self._ids), self._table)
        self._grouped = True


def _added_up(ids: Ints, table: NDArray[np.float64]) -> tuple[Ints, NDArray[np.float64]]:
    """Columns of the same id added up, in the order of the ids."""
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    starts = np.flatnonzero(np.diff(ids, prepend=ids[:1] - 1)) if ids.size else order
    if starts.size == ids.size:
        return ids, table[:, order]
    return ids[starts], np.add.reduceat(table[:, order], starts, axis=1)


def _group_of(ids: Ints) -> Ints:
    """The group of each id; a group keeps its own number.

    Ids below `GROUPS` may be groups already, so that they stay.
    """
    return np.where((ids >= 0) & (ids < GROUPS), ids, dealt(ids, GROUPS))


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
