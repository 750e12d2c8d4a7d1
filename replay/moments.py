"""Exact moments of a few columns: the statistics that every estimate rests on."""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import combinations_with_replacement

import numpy as np

from replay.errors import MergeError
from replay.sums import CUBE_SCALE, PLAIN, ExactSums, Floats, Term


class Moments:
    """Count, sums and sums of products of k columns, of two and where wanted of three.

    Everything is summed exactly, so that adding rows in another order, in other chunks or in other
    processes gives the same statistics, bit for bit, and a small variance beside a large mean
    loses nothing. Products of three are rounded one by one, and then summed exactly. `n` is the
    number of rows.
    """

    def __init__(
        self,
        width: int,
        pairs: Iterable[tuple[int, int]] | None = None,
        triples: Iterable[tuple[int, int, int]] = (),
    ) -> None:
        """Of nothing yet.

        Args:
            width: Number of columns.
            pairs: Columns whose products are wanted, the lower index first; all if None.
            triples: The same of three columns; none if not given.
        """
        if pairs is None:
            pairs = combinations_with_replacement(range(width), 2)
        self.width = width
        self.n = 0
        products: list[Term] = [*sorted(set(pairs)), *sorted(set(triples))]
        self._places = {product: place for place, product in enumerate(products, width)}
        self.sums = ExactSums([*((index, PLAIN) for index in range(width)), *products])

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

    def cube_total(self, index: int) -> Fraction:
        """Sum of a column's cubes, if that product of three was asked for."""
        return self._cubes([(index, Fraction(1))])

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
        return self._squares(self._factors(weights, indices)) / (self.n * (self.n - 1))

    def skew_of_mean(
        self, weights: Sequence[Fraction], indices: Sequence[int] | None = None
    ) -> float:
        """Skewness of a weighted sum of the columns, by the square root of n.

        With d the sum's distances from its mean: sum of d^3 by (sum of d^2) to 3/2.

        Args:
            weights: One factor a column.
            indices: The columns, whose products of three must all be there; all if None.

        Returns:
            From -1 to 1; 0 where nothing varies. Needs a row.
        """
        factors = self._factors(weights, indices)
        squares = self._squares(factors)
        if not squares:
            return 0.0
        mean = self._total(factors) / self.n
        cubes = self._cubes(factors) - 3 * mean * squares - self.n * mean**3
        scale = squares * Fraction(root(squares))
        # Rounded products leave noise where a tiny spread lies beside a large mean, and products
        # too small for float64 may leave nothing else, of any size.
        return float(min(max(cubes, -scale), scale) / scale) if scale else 0.0

    def _factors(
        self, weights: Sequence[Fraction], indices: Sequence[int] | None
    ) -> list[tuple[int, Fraction]]:
        chosen = range(self.width) if indices is None else indices
        return [(one, w) for one, w in zip(chosen, weights, strict=True) if w]

    def _total(self, factors: Sequence[tuple[int, Fraction]]) -> Fraction:
        return sum((w * self.total(one) for one, w in factors), Fraction(0))

    def _squares(self, factors: Sequence[tuple[int, Fraction]]) -> Fraction:
        """Sum of the squared distances of a weighted sum from its mean."""
        square = sum(
            (w * v * self.product_total(one, other) for one, w in factors for other, v in factors),
            Fraction(0),
        )
        # Products too small for float64 are inexact, which could leave a speck below zero.
        return max(square - self._total(factors) ** 2 / self.n, Fraction(0))

    def _cubes(self, factors: Sequence[tuple[int, Fraction]]) -> Fraction:
        """Sum of the cubes of a weighted sum."""
        total = Fraction(0)
        for chosen in combinations_with_replacement(sorted(factors), 3):
            first, second, third = (one for one, _ in chosen)
            product = self.sums.total(self._places[first, second, third]) / Fraction(CUBE_SCALE)
            factor = math.prod((w for _, w in chosen), start=Fraction(1))
            total += _ORDERS[len({first, second, third})] * factor * product
        return total


_ORDERS = {1: 1, 2: 3, 3: 6}
"""In how many orders three columns can be multiplied, by how many of them differ."""


def root(square: Fraction) -> float:
    """Square root of an exact number, right also where the number itself leaves float64."""
    if square == 0:
        return 0.0
    # Scaled to an integer of at least 128 bits, whose integer root has more bits than a float64.
    shift = max(0, 128 - square.numerator.bit_length() + square.denominator.bit_length())
    shift += shift % 2
    found = math.isqrt((square.numerator << shift) // square.denominator)
    return float(Fraction(found, 1 << (shift // 2)))
