"""Rows as units of their own, kept in order and in bounded memory."""

import numpy as np
from numpy.typing import NDArray

from replay.errors import MergeError
from replay.intervals.units import Units, limits_of
from replay.sums import Floats


class RowSums:
    """Keeps rows apart while they are few, in groups once they are many.

    Beyond as many rows as `limits_of` the columns says, each goes into the group of its number by
    turns. A row's number is its place among all of them, so that chunks change nothing, nor do
    parts that are merged in their order.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._limits = limits_of(width)
        self.n = 0
        self.chunks: list[NDArray[np.float64]] = []
        self.groups: NDArray[np.float64] | None = None

    def add(self, *columns: Floats) -> None:
        """Take in the next rows: k columns of the same length, of which there may be none."""
        if not columns:
            return
        table = np.stack((np.ones(columns[0].size), *columns))
        self._take(table)

    def merge(self, following: "RowSums") -> None:
        """Take in the rows that come after all of these.

        Raises:
            MergeError: The other one holds another number of columns.
        """
        if following.width != self.width:
            raise MergeError(f"{self.width} columns", f"{following.width} columns")
        if following.groups is None:
            for table in following.chunks:
                self._take(table)
            return
        groups = self._folded()
        groups += np.roll(following.groups, self.n % self._limits.groups, axis=1)
        self.n += following.n

    def units(self) -> Units:
        """The rows so far, or the groups of them."""
        if self.groups is not None:
            ids = np.arange(self._limits.groups)
            return Units(ids, self.groups[0], self.groups[1:], grouped=True)
        table = np.concatenate((np.zeros((self.width + 1, 0)), *self.chunks), axis=1)
        self.chunks = [table]
        return Units(np.arange(self.n), table[0], table[1:], grouped=False)

    def _take(self, table: NDArray[np.float64]) -> None:
        size = table.shape[1]
        if self.groups is None and self.n + size <= self._limits.units:
            self.chunks.append(table)
        else:
            _fold(self._folded(), table, self.n)
        self.n += size

    def _folded(self) -> NDArray[np.float64]:
        """The groups, made from the rows so far if need be."""
        if self.groups is None:
            self.groups = np.zeros((self.width + 1, self._limits.groups))
            start = 0
            for table in self.chunks:
                _fold(self.groups, table, start)
                start += table.shape[1]
            self.chunks = []
        return self.groups


def _fold(groups: NDArray[np.float64], table: NDArray[np.float64], first: int) -> None:
    """Adds rows, of which the first has a number, to the groups of their numbers."""
    start = 0
    while start < table.shape[1]:
        group = (first + start) % groups.shape[1]
        stop = min(start + groups.shape[1] - group, table.shape[1])
        groups[:, group : group + stop - start] += table[:, start:stop]
        start = stop
