"""Sums are exact, so that no order and no split of the rows changes them."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.sums import BLOCK_ROWS, exact_dot, exact_sum

WIDE = st.floats(-1e60, 1e60)
# Products of these stay far above the smallest float64, below which digits are lost.
NORMAL = WIDE.filter(lambda value: value == 0 or abs(value) > 1e-100)


@given(st.lists(WIDE))
def test_a_sum_is_exact(values: list[float]) -> None:
    """The sum equals the sum of the values as fractions, to the last bit."""
    assert exact_sum(np.array(values)) == sum(map(Fraction, values), Fraction(0))


@given(st.lists(st.tuples(NORMAL, NORMAL)))
def test_a_sum_of_products_is_exact(pairs: list[tuple[float, float]]) -> None:
    """The sum equals the sum of the products as fractions, to the last bit."""
    left, right = np.array(pairs).reshape(-1, 2).T
    expected = sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
    assert exact_dot(left, right) == expected


def test_a_sum_over_many_blocks_is_exact() -> None:
    """Values over 200 binary orders of magnitude, in more than one block, add up exactly."""
    generator = np.random.default_rng(3)
    values = generator.normal(size=3 * BLOCK_ROWS + 17) * 2.0 ** generator.integers(
        -100, 100, 3 * BLOCK_ROWS + 17
    )
    assert float(exact_sum(values)) == math.fsum(values.tolist())


def test_a_full_block_of_equal_largest_values_does_not_round() -> None:
    """The bits kept free suffice for a whole block of values just below a power of two."""
    values = np.full(BLOCK_ROWS, np.nextafter(8.0, 0.0))
    assert exact_sum(values) == BLOCK_ROWS * Fraction(np.nextafter(8.0, 0.0))


def test_what_cancels_leaves_what_is_small() -> None:
    """A value sixty orders below two that cancel survives."""
    assert exact_sum(np.array([1e60, 1.0, -1e60])) == 1


def test_the_input_is_left_as_it_was() -> None:
    """Summing does not write into the caller's array."""
    values = np.array([1.0, 2.5])
    exact_sum(values)
    assert values.tolist() == [1.0, 2.5]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1.7e308])
def test_what_cannot_be_summed_is_refused(value: float) -> None:
    """Infinities, NaN and values at the end of float64 raise instead of giving a wrong sum."""
    with pytest.raises(OverflowError), np.errstate(all="ignore"):
        exact_sum(np.array([1.0, value]))
