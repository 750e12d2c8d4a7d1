"""Sums are exact, so that no order and no split of the rows changes them."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.errors import MergeError
from replay.sums import BLOCK_ROWS, PLAIN, ExactSums, exact_sum

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
    sums = ExactSums([(0, 1), (1, PLAIN)])
    sums.add(np.array(pairs).reshape(-1, 2).T)
    assert sums.total(0) == sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
    assert sums.total(1) == sum((Fraction(b) for _, b in pairs), Fraction(0))


@given(st.lists(WIDE), st.lists(WIDE), st.integers(1, 3))
def test_sums_merge_without_a_trace(one: list[float], other: list[float], times: int) -> None:
    """Merged sums are the sums of all rows, however often they are merged."""
    left, right = ExactSums([(0, PLAIN)]), ExactSums([(0, PLAIN)])
    left.add(np.array([one]))
    right.add(np.array([other]))
    for _ in range(times):
        left.merge(right)
    expected = sum(map(Fraction, one), Fraction(0)) + times * sum(map(Fraction, other), Fraction(0))
    assert left.total(0) == expected


def test_sums_of_other_terms_do_not_merge() -> None:
    """Sums of products are not taken for sums of values."""
    with pytest.raises(MergeError):
        ExactSums([(0, PLAIN)]).merge(ExactSums([(0, 0)]))


@given(st.lists(st.floats(-1e-300, 1e-300)))
def test_the_smallest_numbers_add_up_exactly(values: list[float]) -> None:
    """Numbers near the end of float64, subnormal ones too, lose nothing."""
    assert exact_sum(np.array(values)) == sum(map(Fraction, values), Fraction(0))


def test_a_refused_column_leaves_the_sums_as_they_were() -> None:
    """A chunk that cannot be summed adds none of its rows."""
    sums = ExactSums([(0, PLAIN)])
    sums.add(np.array([[1.0]]))
    with pytest.raises(OverflowError):
        sums.add(np.concatenate([np.ones(BLOCK_ROWS), [math.nan]])[np.newaxis])
    assert sums.total(0) == 1


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
@pytest.mark.parametrize("beside", [[], [1.0], [0.0] * BLOCK_ROWS, [-1.0, 1e300] * BLOCK_ROWS])
@pytest.mark.parametrize("is_first", [True, False])
def test_what_cannot_be_summed_is_refused(
    value: float, beside: list[float], *, is_first: bool
) -> None:
    """Infinities, NaN and values at the end of float64 raise instead of giving a wrong sum."""
    values = [value, *beside] if is_first else [*beside, value]
    with pytest.raises(OverflowError):
        exact_sum(np.array(values))
