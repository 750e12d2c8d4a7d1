"""Standard errors and skewness by unit are those of the textbook."""

import math
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.intervals.spread import Spread, clustered_spread
from replay.intervals.units import UnitSums
from tests.replay.samples import mean_reference, ratio_reference

Row = tuple[int, float, float]
TOPS = st.just(0.0) | st.floats(1e-3, 1e3) | st.floats(-1e3, -1e-3)
ROWS = st.lists(
    st.tuples(st.integers(0, 6), TOPS, st.floats(0.01, 1e3)),
    min_size=2,
    max_size=30,
)


def spread_of(rows: list[Row], gradient: tuple[float, float]) -> Spread:
    """Spread of a function of the means of two columns."""
    found = UnitSums(2)
    ids, top, bottom = (np.array(column) for column in zip(*rows, strict=True))
    found.add(ids.astype(np.int64), top, bottom)
    return clustered_spread(found.units(), gradient)


def ratio_gradient(rows: list[Row]) -> tuple[float, float]:
    """Derivative of a ratio of means."""
    top, bottom = (sum(row[at] for row in rows) / len(rows) for at in (1, 2))
    return 1 / bottom, -top / bottom**2


def sandwich(rows: list[Row]) -> tuple[Fraction, Fraction]:
    """Squares and cubes of the subjects' influences on a ratio, summed in fractions."""
    top, bottom = (_total(Fraction(row[at]) for row in rows) for at in (1, 2))
    influences = [
        _total(Fraction(t) - top / bottom * Fraction(b) for unit, t, b in rows if unit == one)
        / bottom
        for one in sorted({row[0] for row in rows})
    ]
    return _total(d**2 for d in influences), _total(d**3 for d in influences)


def _total(terms: Iterable[Fraction]) -> Fraction:
    return sum(terms, Fraction(0))


@given(rows=ROWS)
def test_agrees_with_the_sandwich_in_fractions(rows: list[Row]) -> None:
    """Error and skewness of a ratio equal those of the cluster-robust formula, exactly computed."""
    units = len({row[0] for row in rows})
    squares, cubes = sandwich(rows)
    found = spread_of(rows, ratio_gradient(rows))
    assert found.units == units
    if units < 2:
        assert found.error == math.inf
        return
    expected = math.sqrt(squares * units / (units - 1))
    scale = max(abs(t) + abs(b) for _, t, b in rows) / min(b for _, _, b in rows)
    room = 1e-11 * scale**2
    assert found.error == pytest.approx(expected, rel=1e-9, abs=room)
    if expected > 1e4 * room:
        assert found.skew == pytest.approx(float(cubes) / float(squares) ** 1.5, rel=1e-5, abs=1e-6)


def test_rows_on_their_own_give_the_plain_errors() -> None:
    """Where every row is a subject, errors are those of independent rows."""
    generator = np.random.default_rng(2)
    rows = [(unit, generator.normal(), generator.uniform(0.1, 3)) for unit in range(200)]
    tops, bottoms = ([Fraction(row[at]) for row in rows] for at in (1, 2))
    mean = spread_of(rows, (1.0, 0.0))
    assert mean.error == pytest.approx(math.sqrt(mean_reference(tops).variance), rel=1e-9)
    ratio = spread_of(rows, ratio_gradient(rows))
    assert ratio.error == pytest.approx(
        math.sqrt(ratio_reference(tops, bottoms).variance), rel=1e-9
    )


def test_the_same_subject_twice_says_nothing_new() -> None:
    """Every row doubled within its subject leaves the standard error as it was."""
    generator = np.random.default_rng(3)
    rows = [(unit, generator.normal(), 1.0) for unit in range(50)]
    assert spread_of(rows * 2, (1.0, 0.0)).error == pytest.approx(
        spread_of(rows, (1.0, 0.0)).error, rel=1e-12
    )


@given(rows=ROWS, scale=st.sampled_from([1e-150, 1e-9, 1e9, 1e100]))
def test_units_of_measurement_do_not_matter(rows: list[Row], scale: float) -> None:
    """A reward in cents has a hundred times the error and the same skewness."""
    plain = spread_of(rows, (1.0, 0.0))
    scaled = spread_of([(unit, top * scale, bottom) for unit, top, bottom in rows], (1.0, 0.0))
    room = 1e-12 * max(abs(row[1]) for row in rows)
    assert scaled.error / scale == pytest.approx(plain.error, rel=1e-9, abs=room)
    assert abs(plain.skew) <= 1
    if plain.error > 1e6 * room:
        assert scaled.skew == pytest.approx(plain.skew, rel=1e-6, abs=1e-6)
