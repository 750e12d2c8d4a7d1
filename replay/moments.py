"""Exact first and second moments of a few columns: the statistics that every estimate rests on."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import combinations_with_replacement

import numpy as np

from replay.errors import MergeError
from replay.sums import PLAIN, ExactSums, Floats


class Moments:
    """Count, sums and sums of products of k columns.

    Everything is summed exactly, so that adding rows in another order, in other chunks or in other
    processes gives the same statistics, bit for bit, and a small variance beside a large mean
    loses nothing. `n` is the number of rows.
    """

    def __init__(self, width: int, pairs: Iterable[tuple[int, int]] | None = None) -> None:
        """Of nothing yet.

        Args:
            width: Number of columns.
            pairs: Columns whose products are wanted, the lower index first; all if None.
        """
        if pairs is None:
            pairs = combinations_with_replacement(range(width), 2)
        self.width = width
        self.n = 0
        self._places = {pair: place for place, pair in enumerate(sorted(set(pairs)), width)}
        self.sums = ExactSums([*((index, PLAIN) for index in range(width)), *self._places])

    def add(self, *columns: Floats) -> None:
        """Take in rows: k float64 arrays of one length.

        Raises:
            OverflowError: A value, or a product of two, is beyond what can be summed.
        """
        if columns:
            self.sums.add(np.stack(columns))
            self.n += int(columns[0].size)

    def merge(self, other: "Moments") -> None:
        """Take in the rows that another one has seen.

        Raises:
            MergeError: The other one holds other columns.
        """
        if other.width != self.width:
            raise MergeError(f"{self.width} columns", f"{other.width} columns")
        self.sums.merge(other.sums)
        self.n += other.n

    def total(self, index: int) -> Fraction:
        """Sum of a column."""
        return self.sums.total(index)

    def square_total(self, index: int) -> Fraction:
        """Sum of a column's squares."""
        return self.product_total(index, index)

    def product_total(self, one: int, other: int) -> Fraction:
        """Sum of the products of two columns."""
        return self.sums.total(self._places[min(one, other), max(one, other)])

    def mean(self, index: int) -> Fraction:
        """Mean of a column; needs a row."""
        return self.total(index) / self.n

    def covariance(self, one: int, other: int) -> Fraction:
        """Unbiased sample covariance (divisor n - 1) of two columns; needs two rows."""
        product = self.product_total(one, other)
        return (product - self.total(one) * self.total(other) / self.n) / (self.n - 1)

    def variance_of_mean(
        self, weights: Sequence[Fraction], indices: Sequence[int] | None = None
    ) -> Fraction:
        """Variance of a weighted sum of columns' means.

        The unbiased sample covariance C gives w' C w / n.

        Args:
            weights: One factor a column.
            indices: The columns, whose products must all be there; all columns if None.

        Returns:
            The variance, never negative. Needs two rows.
        """
        chosen = range(self.width) if indices is None else indices
        factors = list(zip(chosen, weights, strict=True))
        total = sum((w * self.total(one) for one, w in factors if w), Fraction(0))
        square = sum(
            (
                w * v * self.product_total(one, other)
                for one, w in factors
                for other, v in factors
                if w and v
            ),
            Fraction(0),
        )
        # Products too small for float64 are inexact, which could leave a speck below zero.
        return max(square - total * total / self.n, Fraction(0)) / (self.n * (self.n - 1))
