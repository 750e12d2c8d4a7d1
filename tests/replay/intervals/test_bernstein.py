"""Empirical Bernstein intervals follow their theorem."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from replay.errors import LevelError
from replay.intervals.bernstein import bernstein_half, bernstein_ratio_interval


def theorem_4(values: np.ndarray, low: float, high: float, miss: float) -> float:
    """One side's half width for values of [low, high], scaled to [0, 1] as in the paper."""
    scaled = (values - low) / (high - low)
    n = scaled.size
    pairs = sum((a - b) ** 2 for i, a in enumerate(scaled) for b in scaled[:i]) / (n * (n - 1))
    root = math.sqrt(2 * pairs * math.log(2 / miss) / n)
    return (high - low) * (root + 7 * math.log(2 / miss) / (3 * (n - 1)))


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_agrees_with_the_theorem(level: float) -> None:
    """The half width is the paper's, each side with half of the chance to miss."""
    values = np.random.default_rng(3).beta(1, 9, size=60) * 7 - 2
    expected = theorem_4(values, -2, 5, (1 - level) / 2)
    found = bernstein_half(values.var(ddof=1) / values.size, 7.0, values.size, level)
    assert found == pytest.approx(expected, rel=1e-12)


def ratio_interval(
    weights: np.ndarray, rewards: np.ndarray, most: float, level: float
) -> tuple[float, float]:
    """Interval of the weighted mean of rewards from 0 to 1."""
    top, n = weights * rewards, weights.size

    def at(value: float) -> tuple[float, float]:
        terms = top - value * weights
        return float(terms.mean()), float(terms.var(ddof=1)) / n

    value = float(top.sum() / weights.sum())
    return bernstein_ratio_interval(
        value, at, lambda variance: bernstein_half(variance, most, n, level), (0.0, 1.0)
    )


def test_ends_of_a_ratio_are_where_the_test_turns() -> None:
    """At each end the mean of w (r - v) is exactly its half width away from 0."""
    generator = np.random.default_rng(8)
    weights = generator.uniform(0, 3, 3_000)
    rewards = (generator.uniform(size=3_000) < 0.3).astype(float)

    def excess(value: float) -> float:
        terms = weights * (rewards - value)
        half = bernstein_half(terms.var(ddof=1) / terms.size, 3.0, terms.size, 0.95)
        return abs(float(terms.mean())) - half

    value = float(weights @ rewards / weights.sum())
    expected = brentq(excess, 0, value, xtol=1e-15), brentq(excess, value, 1, xtol=1e-15)
    assert ratio_interval(weights, rewards, 3.0, 0.95) == pytest.approx(expected, rel=1e-9)


@given(
    seed=st.integers(0, 999),
    n=st.integers(2, 400),
    level=st.floats(0.01, 0.99),
    higher=st.floats(0.01, 0.99),
)
def test_intervals_are_nested_within_bounds_and_hold_the_value(
    seed: int, n: int, level: float, higher: float
) -> None:
    """Never inverted, never outside what rewards can be, wider for a higher level."""
    generator = np.random.default_rng(seed)
    weights, rewards = generator.uniform(0.01, 2, n), generator.uniform(size=n).round()
    value = float(weights @ rewards / weights.sum())
    low, high = ratio_interval(weights, rewards, 2.0, min(level, higher))
    lower, upper = ratio_interval(weights, rewards, 2.0, max(level, higher))
    assert 0 <= lower <= low <= value <= high <= upper <= 1


def test_one_term_says_nothing() -> None:
    """Without a second term the half width is infinite."""
    assert bernstein_half(0.0, 1.0, 1, 0.95) == math.inf


def test_impossible_levels_are_refused() -> None:
    """A level of 1 asks for certainty, which no interval of finite width has."""
    with pytest.raises(LevelError):
        bernstein_half(1.0, 1.0, 10, 1.0)
