"""Moments of columns, with what the chosen interval needs beside them."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import combinations_with_replacement

import numpy as np

from replay.errors import MergeError, MissingColumnError
from replay.intervals.rows import RowSums
from replay.intervals.settings import Keep
from replay.intervals.spread import Spread, clustered_spread
from replay.intervals.units import Units, UnitSums
from replay.moments import Moments, root
from replay.sample import Ints
from replay.sums import Floats

Pair = tuple[int, int]


class Gathering:
    """First and second moments of columns, and third ones or sums by unit if they are kept."""

    def __init__(self, width: int, keep: Keep, pairs: Iterable[Pair] | None = None) -> None:
        """Of nothing yet.

        Args:
            width: Number of columns.
            keep: What the interval needs.
            pairs: Columns whose products are wanted, the lower index first; all if None.
        """
        found = list(combinations_with_replacement(range(width), 2) if pairs is None else pairs)
        self.keep = keep
        self.moments = Moments(width, found, _triples(found) if keep is Keep.CUBES else ())
        self.sums: UnitSums | RowSums | None = None
        if keep is Keep.SUBJECTS:
            self.sums = UnitSums(width)
        elif keep is Keep.ROWS:
            self.sums = RowSums(width)

    @property
    def n(self) -> int:
        """Rows so far."""
        return self.moments.n

    def add(self, subject: Ints | None, *columns: Floats) -> None:
        """Take in rows.

        Raises:
            MissingColumnError: Subjects are to be kept apart and nobody says which they are.
        """
        if isinstance(self.sums, UnitSums):
            if subject is None:
                raise MissingColumnError("subject", "an interval by subject")
            self.sums.add(subject, *columns)
        elif self.sums is not None:
            self.sums.add(*columns)
        self.moments.add(*columns)

    def merge(self, following: "Gathering") -> None:
        """Take in the rows that come after these.

        Raises:
            MergeError: The other one gathers something else.
        """
        if self.keep is not following.keep:
            raise MergeError(self.keep.value, following.keep.value)
        self.moments.merge(following.moments)
        if isinstance(self.sums, UnitSums) and isinstance(following.sums, UnitSums):
            self.sums.merge(following.sums)
        if isinstance(self.sums, RowSums) and isinstance(following.sums, RowSums):
            self.sums.merge(following.sums)

    @property
    def count(self) -> int:
        """What counts as independent: units where they are kept, or rows."""
        return self.n if self.sums is None else self.sums.units().count

    def units(self, indices: Sequence[int]) -> Units:
        """Sums of some columns by unit, where units are kept."""
        assert self.sums is not None  # noqa: S101 - tells mypy what `keep` says
        found = self.sums.units()
        return Units(found.ids, found.sizes, found.sums[np.asarray(indices)], found.grouped)

    def spread(self, gradient: Sequence[Fraction], indices: Sequence[int]) -> Spread:
        """Spread of a function of the means of some columns, with its derivative by each."""
        if self.keep is Keep.SUBJECTS:
            return clustered_spread(self.units(indices), [float(part) for part in gradient])
        if self.n < 2:  # noqa: PLR2004 - two rows are needed for a variance
            return Spread(self.n, float("inf"), 0.0)
        error = root(self.moments.variance_of_mean(gradient, indices))
        return Spread(self.n, error, self._skew(gradient, indices))

    def _skew(self, gradient: Sequence[Fraction], indices: Sequence[int]) -> float:
        if self.keep is Keep.CUBES:
            return self.moments.skew_of_mean(gradient, indices)
        if self.keep is Keep.ROWS:
            units = self.units(indices)
            return clustered_spread(units, [float(part) for part in gradient]).skew
        return 0.0


def _triples(pairs: Sequence[Pair]) -> set[tuple[int, int, int]]:
    """Every three columns of which each two are a pair."""
    known = set(pairs)
    places = sorted({place for pair in known for place in pair})
    return {
        (a, b, c)
        for a, b, c in combinations_with_replacement(places, 3)
        if {(a, b), (b, c), (a, c)} <= known
    }
