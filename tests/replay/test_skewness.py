"""Skewness from exact moments is that of the rows, in any order."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.gathering import Gathering
from replay.intervals.settings import Keep

VALUES = st.just(0.0) | st.floats(1e-3, 1e3) | st.floats(-1e3, -1e-3)
ROWS = st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=25)
GRADIENT = (Fraction(3, 2), Fraction(-1, 3))
Rows = list[tuple[float, float]]


def gathered(rows: Rows) -> Gathering:
    """Moments of two columns."""
    found = Gathering(2, Keep.CUBES)
    found.add(None, *np.array(rows).T)
    return found


@settings(deadline=None)
@given(rows=ROWS)
def test_agrees_with_fractions(rows: Rows) -> None:
    """Error and skewness of a weighted sum equal those of the rows, computed in fractions."""
    terms = [GRADIENT[0] * Fraction(a) + GRADIENT[1] * Fraction(b) for a, b in rows]
    n, mean = len(terms), sum(terms, Fraction(0)) / len(terms)
    squares = sum(((one - mean) ** 2 for one in terms), Fraction(0))
    cubes = sum(((one - mean) ** 3 for one in terms), Fraction(0))
    found = gathered(rows).spread(GRADIENT, (0, 1))
    assert found.units == n
    assert found.error == pytest.approx(float(squares / (n * (n - 1))) ** 0.5, rel=1e-12)
    largest = max(abs(one) for one in terms)
    if squares > largest**2 / 10**6:
        expected = float(cubes) / float(squares) ** 1.5
        assert found.skew == pytest.approx(expected, rel=1e-6, abs=1e-6)


@settings(deadline=None)
@given(rows=ROWS, cut=st.integers(0, 25), seed=st.integers(0, 9))
def test_order_and_parts_change_no_bit(rows: Rows, cut: int, seed: int) -> None:
    """Shuffled, cut and merged, the rows give the same spread, bit for bit."""
    shuffled = [rows[at] for at in np.random.default_rng(seed).permutation(len(rows))]
    whole = Gathering(2, Keep.CUBES)
    for piece in (shuffled[:cut], shuffled[cut:]):
        if piece:
            whole.merge(gathered(piece))
    assert whole.spread(GRADIENT, (0, 1)) == gathered(rows).spread(GRADIENT, (0, 1))


@pytest.mark.parametrize("scale", [1e-60, 1.0, 1e110])
def test_cubes_of_extreme_values_stay_within_numbers(scale: float) -> None:
    """Weighted rewards as large as the rules allow have a skewness, not an overflow."""
    rows = [(scale * value, 1.0) for value in (0.0, 0.0, 0.0, 1.0, 5.0)]
    found = gathered(rows).spread((Fraction(1), Fraction(0)), (0, 1))
    assert found.skew == pytest.approx(49.68 / 18.8**1.5, rel=1e-12)
