"""Exact first and second moments of a few columns: the statistics that every estimate rests on."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations_with_replacement

from replay.errors import MergeError
from replay.sums import Floats, exact_dot, exact_sum


class Moments:
    """Count, sums and sums of products of k columns.

    Everything is kept as an exact fraction, so that adding rows in another order, in other chunks
    or in other processes gives the same statistics, bit for bit, and a small variance beside a
    large mean loses nothing.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.n = 0
        self.sums = [Fraction(0)] * width
        self.products = dict.fromkeys(combinations_with_replacement(range(width), 2), Fraction(0))

    def add(self, *columns: Floats) -> None:
        """Take in rows: k float64 arrays of one length."""
        self.n += int(columns[0].size)
        for index, column in enumerate(columns):
            self.sums[index] += exact_sum(column)
        for one, other in self.products:
            self.products[one, other] += exact_dot(columns[one], columns[other])

    def merge(self, other: "Moments") -> None:
        """Take in the rows that another one has seen.

        Raises:
            MergeError: The other one holds another number of columns.
        """
        if other.width != self.width:
            raise MergeError(f"{self.width} columns", f"{other.width} columns")
        self.n += other.n
        self.sums = [a + b for a, b in zip(self.sums, other.sums, strict=True)]
        for key, value in other.products.items():
            self.products[key] += value

    def total(self, index: int) -> Fraction:
        """Sum of a column."""
        return self.sums[index]

    def square_total(self, index: int) -> Fraction:
        """Sum of a column's squares."""
        return self.products[index, index]

    def mean(self, index: int) -> Fraction:
        """Mean of a column; needs a row."""
        return self.sums[index] / self.n

    def variance_of_mean(self, weights: Sequence[Fraction]) -> Fraction:
        """Variance of a weighted sum of the columns' means.

        The unbiased sample covariance C (divisor n - 1) gives w' C w / n.

        Args:
            weights: k factors, one a column.

        Returns:
            The variance, never negative. Needs two rows.
        """
        total = sum(w * s for w, s in zip(weights, self.sums, strict=True))
        square = sum(
            (1 if one == other else 2) * weights[one] * weights[other] * product
            for (one, other), product in self.products.items()
        )
        # Products too small for float64 are inexact, which could leave a speck below zero.
        return max(Fraction(square - total * total / self.n), Fraction(0)) / (self.n * (self.n - 1))
