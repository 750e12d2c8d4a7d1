"""Exact sums and sums of products of float64 arrays: the order of the rows changes no digit."""

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLOCK_ROWS = 2**14
"""Rows summed at a time: what stays in a core's cache."""

_ROOM_BITS = 15
"""Bits kept free above the largest value, so that adding a whole block cannot round."""

_SPLITTER = 2.0**27 + 1.0
"""Veltkamp's constant: halves the 53 bits of a float64."""


def exact_sum(values: Floats) -> Fraction:
    """Sum without any rounding.

    Each pass cuts every value at one common bit, so that the upper parts add up without rounding
    in float64, and goes on with the lower parts until nothing is left (Rump, Ogita and Oishi 2008,
    "Accurate floating-point summation I", algorithm 3.3; two or three passes for usual data).

    Args:
        values: Any length, finite, below 1e300 in magnitude.

    Returns:
        The exact sum, so that sums of parts merge by plain addition.

    Raises:
        OverflowError: A value is infinite, not a number, or too large.
    """
    return sum((_block_sum(block.copy()) for (block,) in _blocks(values)), Fraction(0))


def exact_dot(left: Floats, right: Floats) -> Fraction:
    """Sum of products without any rounding.

    Each product is held as its float64 value and its rounding error (Dekker 1971), and both are
    summed exactly. Products below 1e-290 lose digits, the same ones in any order.

    Args:
        left: Any length, finite, below 1e145 in magnitude.
        right: As long, within the same limits.

    Returns:
        The exact sum of `left[i] * right[i]`.

    Raises:
        OverflowError: A value is infinite, not a number, or too large.
    """
    total = Fraction(0)
    for one, other in _blocks(left, right):
        product, error = _exact_products(one, other)
        total += _block_sum(product) + _block_sum(error)
    return total


def _blocks(*columns: Floats) -> Iterator[tuple[Floats, ...]]:
    """The columns cut into blocks of the same rows."""
    for start in range(0, columns[0].size, BLOCK_ROWS):
        yield tuple(column[start : start + BLOCK_ROWS] for column in columns)


def _block_sum(rest: Floats) -> Fraction:
    """Exact sum of one block, which is overwritten."""
    total = Fraction(0)
    high = np.empty_like(rest)
    while (largest := float(max(rest.max(), -rest.min()))) != 0:
        anchor = math.ldexp(1.0, _exponent(largest) + _ROOM_BITS)
        np.add(rest, anchor, out=high)
        np.subtract(high, anchor, out=high)
        total += Fraction(float(high.sum()))
        np.subtract(rest, high, out=rest)
    return total


def _exponent(magnitude: float) -> int:
    """The power of two above a magnitude; loud where `frexp` would call an infinity 0."""
    if not math.isfinite(magnitude):
        raise OverflowError("a value is infinite, not a number, or too large to be summed")
    return math.frexp(magnitude)[1]


def _exact_products(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Products and their rounding errors: `product + error` is exact."""
    left_high, left_low = _halves(left)
    right_high, right_low = _halves(right)
    product = left * right
    error = left_high * right_high - product
    error += left_high * right_low
    error += left_low * right_high
    error += left_low * right_low
    return product, error


def _halves(values: Floats) -> tuple[Floats, Floats]:
    """Upper and lower 26 bits of each value."""
    scaled = values * _SPLITTER
    high = scaled - (scaled - values)
    return high, values - high
