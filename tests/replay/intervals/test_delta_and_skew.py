"""The delta method's interval and the one corrected for skewness."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import t as student

from replay.errors import LevelError
from replay.intervals.delta import delta_interval
from replay.intervals.skew import skew_interval
from replay.intervals.spread import Spread

VALUES = st.floats(-1e6, 1e6)
SPREADS = st.builds(
    Spread, st.integers(2, 10_000), st.floats(1e-6, 1e6), st.floats(-1, 1, exclude_min=True)
)
LEVELS = st.floats(0.01, 0.999)


def hall(t: float, skew: float) -> float:
    """Hall's transformation, as the paper writes it."""
    return t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / 6


@given(value=VALUES, spread=SPREADS, level=LEVELS)
def test_ends_are_where_the_transformation_meets_the_quantiles(
    value: float, spread: Spread, level: float
) -> None:
    """Both ends solve Hall's equation, but for ends that would cross the value: those stay."""
    quantile = student.ppf((1 + level) / 2, spread.units - 1)
    reach = 1e4 * (1 + quantile)
    upper, lower = (
        brentq(lambda t, at=at: hall(t, spread.skew) - at, -reach, reach, xtol=1e-13)
        for at in (quantile, -quantile)
    )
    low, high = skew_interval(value, spread, level)
    room = 1e-9 * (abs(value) + spread.error)
    assert low == pytest.approx(value - spread.error * max(upper, 0), rel=1e-7, abs=room)
    assert high == pytest.approx(value - spread.error * min(lower, 0), rel=1e-7, abs=room)


@given(value=VALUES, units=st.integers(2, 999), error=st.floats(0, 1e6), level=LEVELS)
def test_without_skewness_it_is_the_delta_method(
    value: float, units: int, error: float, level: float
) -> None:
    """Symmetric influences need no correction."""
    spread = Spread(units, error, 0.0)
    assert skew_interval(value, spread, level) == delta_interval(value, spread, level)


@given(value=VALUES, spread=SPREADS, level=LEVELS)
def test_mirrored_data_have_the_mirrored_interval(
    value: float, spread: Spread, level: float
) -> None:
    """A loss is a gain with the other sign."""
    low, high = skew_interval(value, spread, level)
    mirror = Spread(spread.units, spread.error, -spread.skew)
    assert skew_interval(-value, mirror, level) == pytest.approx((-high, -low), rel=1e-12)


@pytest.mark.parametrize("method", [delta_interval, skew_interval])
@given(value=VALUES, spread=SPREADS, level=LEVELS, higher=LEVELS)
def test_intervals_are_nested_and_hold_the_value(
    method: type, value: float, spread: Spread, level: float, higher: float
) -> None:
    """A higher level never gives a narrower interval, and none is inverted."""
    level, higher = sorted((level, higher))
    low, high = method(value, spread, level)
    lower, upper = method(value, spread, higher)
    assert lower <= low <= value <= high <= upper


def test_the_long_side_is_that_of_the_tail() -> None:
    """Rare large rewards may have been missed: the interval reaches further up than down."""
    low, high = skew_interval(1.0, Spread(1000, 0.1, 0.2), 0.95)
    assert high - 1.0 > 1.2 * (1.0 - low)


@pytest.mark.parametrize("method", [delta_interval, skew_interval])
def test_one_unit_says_nothing(method: type) -> None:
    """Without a second unit both ends are infinite, never the value itself."""
    assert method(2.0, Spread(1, math.inf, 0.0), 0.95) == (-math.inf, math.inf)


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, math.nan])
@pytest.mark.parametrize("method", [delta_interval, skew_interval])
def test_impossible_levels_are_refused(method: type, level: float) -> None:
    """A level of 95 instead of 0.95 is an error, whatever the data."""
    for error in (0.0, 1.0):
        with pytest.raises(LevelError):
            method(0.0, Spread(10, error, 0.0), level)
