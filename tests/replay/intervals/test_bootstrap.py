"""The bootstrap draws what its hash says, numerators and denominators together."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, norm, poisson

from replay.intervals.bootstrap import SEED, Resamples, bootstrap_interval, resample
from replay.intervals.spread import Spread, clustered_spread
from replay.intervals.units import Units, UnitSums

MASK = 2**64 - 1
CHANCES = poisson.cdf(np.arange(40), 1).tolist()


def mixed(state: int) -> int:
    """SplitMix64's finaliser, in integers without a limit."""
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def draws(unit: int, resamples: int) -> list[int]:
    """How often a unit stands in each resample: Poisson quantiles of SplitMix64's stream."""
    state = mixed((unit & MASK) ^ SEED)
    found = []
    for _ in range(resamples):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        share = mixed(state) / 2**64
        found.append(next(k for k, chance in enumerate(CHANCES) if share < chance))
    return found


def units_of(ids: list[int], tops: list[float], bottoms: list[float]) -> Units:
    """Sums of two columns by unit."""
    found = UnitSums(2)
    found.add(np.array(ids, dtype=np.int64), np.array(tops), np.array(bottoms))
    return found.units()


def ratio(means: Sequence[float]) -> float:
    """A ratio of means."""
    return means[0] / means[1]


def some_units(n: int, seed: int = 4) -> Units:
    """Skewed rewards under weights."""
    generator = np.random.default_rng(seed)
    weights = generator.uniform(0.2, 3, n)
    tops = weights * generator.exponential(size=n)
    return units_of(list(range(n)), tops.tolist(), weights.tolist())


def test_resamples_are_those_of_the_hash() -> None:
    """Each value is the ratio of both sums, counted by numbers that a plain reference draws."""
    ids = [-5, 3, 3, 2**62, 17]
    tops, bottoms = [1.0, 2.0, -1.0, 4.0, 0.5], [1.0, 1.0, 2.0, 0.5, 3.0]
    times = [draws(unit, 50) for unit in ids]
    expected = [
        sum(k[b] * top for k, top in zip(times, tops, strict=True))
        / sum(k[b] * bottom for k, bottom in zip(times, bottoms, strict=True))
        for b in range(50)
        if any(k[b] for k in times)
    ]
    found = resample(units_of(ids, tops, bottoms), ratio, 50)
    assert found.values == pytest.approx(sorted(expected), rel=1e-12)


def test_units_stand_a_poisson_number_of_times() -> None:
    """A unit's count has the mean, the variance and the zeros of Poisson(1)."""
    numbers = np.array(draws(12345, 20_000))
    assert numbers.mean() == pytest.approx(1, abs=0.03)
    assert numbers.var() == pytest.approx(1, abs=0.05)
    assert (numbers == 0).mean() == pytest.approx(math.exp(-1), abs=0.015)


def test_it_spreads_as_the_delta_method_says() -> None:
    """The resamples' standard deviation is the value's standard error."""
    units = some_units(2_000)
    top, bottom = units.sums.mean(axis=1)
    error = clustered_spread(units, (1 / bottom, -top / bottom**2)).error
    assert resample(units, ratio).values.std() == pytest.approx(error, rel=0.06)


def test_agrees_with_scipy() -> None:
    """The interval is that of scipy's BCa bootstrap of the ratio, but for the luck of draws."""
    units = some_units(400)
    top, bottom = units.sums.mean(axis=1)
    spread = clustered_spread(units, (1 / bottom, -top / bottom**2))
    found = bootstrap_interval(top / bottom, spread, resample(units, ratio, 4_000), 0.95)
    theirs = bootstrap(
        tuple(units.sums),
        lambda a, b, axis: a.mean(axis) / b.mean(axis),
        paired=True,
        vectorized=True,
        n_resamples=4_000,
        rng=np.random.default_rng(1),
        batch=500,
    ).confidence_interval
    assert found == pytest.approx((theirs.low, theirs.high), abs=0.15 * spread.error)


@given(
    values=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=200),
    at=st.floats(0.2, 0.8),
    skew=st.floats(-0.9, 0.9),
    level=st.floats(0.05, 0.99),
)
def test_agrees_with_efrons_formula(
    values: list[float], at: float, skew: float, level: float
) -> None:
    """The quantiles are taken where the paper's formula says, and the value is held."""
    resamples = Resamples(np.sort(np.array(values)))
    value = float(np.quantile(values, at))
    below = np.mean([(one < value) + 0.5 * (one == value) for one in values])
    bias = norm.ppf(min(max(below, 0.5 / len(values)), 1 - 0.5 / len(values)))
    ends = []
    for z in (norm.ppf((1 - level) / 2), norm.ppf((1 + level) / 2)):
        share = norm.cdf(bias + (bias + z) / (1 - skew / 6 * (bias + z)))
        ends.append(float(np.quantile(values, share)))
    found = bootstrap_interval(value, Spread(100, 1.0, skew), resamples, level)
    expected = (min(ends[0], value), max(ends[1], value))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(
    level=st.floats(0.01, 0.999),
    higher=st.floats(0.01, 0.999),
    skew=st.floats(-1, 1),
    value=st.floats(-4, 4),
)
def test_intervals_are_nested_and_hold_the_value(
    level: float, higher: float, skew: float, value: float
) -> None:
    """A higher level never gives a narrower interval, even for values beyond all resamples."""
    level, higher = sorted((level, higher))
    resamples = Resamples(np.sort(np.random.default_rng(1).normal(size=500)))
    spread = Spread(50, 1.0, skew)
    low, high = bootstrap_interval(value, spread, resamples, level)
    lower, upper = bootstrap_interval(value, spread, resamples, higher)
    assert lower <= low <= value <= high <= upper


def test_one_unit_says_nothing() -> None:
    """A unit alone gives the same value whenever it stands at all: that is no certainty."""
    units = units_of([7], [1.0], [2.0])
    found = bootstrap_interval(0.5, Spread(1, math.inf, 0.0), resample(units, ratio, 20), 0.95)
    assert found == (-math.inf, math.inf)
