"""Empirical likelihood intervals invert likelihood ratio tests, and are not inverted themselves."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize
from scipy.special import xlogy
from scipy.stats import t as student

from replay.intervals.likelihood import Terms, likelihood_interval


def weighted_terms(weights: np.ndarray, rewards: np.ndarray, most: float) -> Terms:
    """Terms of a weighted mean of rewards from 0 to 1."""
    corners = np.array([[0, 0, -1], [0, most, most - 1], [most, most, most - 1]], dtype=np.float64)
    return Terms(weights * rewards, weights, weights - 1, corners)


def mean_terms(scores: np.ndarray) -> Terms:
    """Terms of a mean of scores from 0 to 1."""
    corners = np.array([[0, 1, 0], [1, 1, 0]], dtype=np.float64)
    return Terms(scores, np.ones(scores.size), None, corners)


def interval(terms: Terms, level: float = 0.95) -> tuple[float, float]:
    """Around the ratio of the means."""
    value = float(terms.numerator.sum() / terms.denominator.sum())
    return likelihood_interval(terms, value, (0.0, 1.0), level)


@pytest.mark.parametrize(("hits", "n"), [(1, 20), (30, 100), (999, 1000)])
@pytest.mark.parametrize("with_weights", [False, True])
def test_of_clicks_it_is_the_binomial_likelihood(hits: int, n: int, *, with_weights: bool) -> None:
    """Clicks without weights have the closed form: n times the divergence of two rates."""
    share = hits / n
    limit = student.ppf(0.975, n - 1) ** 2 / 2

    def excess(rate: float) -> float:
        kept = xlogy(hits, share / rate) + xlogy(n - hits, (1 - share) / (1 - rate))
        return float(kept - limit)

    expected = (
        brentq(excess, 1e-12, share, xtol=1e-15),
        brentq(excess, share, 1 - 1e-12, xtol=1e-15),
    )
    rewards = np.array([1.0] * hits + [0.0] * (n - hits))
    # Weights of 1 add nothing: their mean is known anyway.
    terms = weighted_terms(np.ones(n), rewards, 1.0 + 1e-9) if with_weights else mean_terms(rewards)
    assert interval(terms) == pytest.approx(expected, rel=1e-7 if with_weights else 1e-9)


def test_no_click_gives_an_upper_end() -> None:
    """Of no clicks in n the lower end is 0 and the upper one solves n log(1 - v) = -t^2 / 2."""
    limit = student.ppf(0.975, 49) ** 2 / 2
    assert interval(mean_terms(np.zeros(50))) == pytest.approx((0.0, -math.expm1(-limit / 50)))


def test_agrees_with_the_primal_problem() -> None:
    """The upper end is the largest value that a reweighting of the rows and corners can have.

    The reference looks for the weights themselves, with a general optimiser, under the constraints
    of the paper: probabilities, mean weight 1, and likelihood within the limit.
    """
    generator = np.random.default_rng(6)
    weights = generator.choice([0.3, 0.8, 2.0], 30)
    rewards = (generator.uniform(size=30) < 0.4).astype(float)
    terms = weighted_terms(weights, rewards, 3.0)
    cells, counts = np.unique(np.stack((weights, rewards)), axis=1, return_counts=True)
    corners = np.array([[0.0, 3.0, 3.0], [0.0, 0.0, 1.0]])
    w, r = np.concatenate((cells, corners), axis=1)
    seen = counts.size

    def likelihood(q: np.ndarray) -> float:
        return float(counts @ np.log(np.maximum(q[:seen], 1e-300) * 30 / counts))

    start = np.concatenate((counts / 30 * 0.97, [0.01] * 3))
    rules = [
        {"type": "eq", "fun": lambda q: q.sum() - 1},
        {"type": "eq", "fun": lambda q: q @ w - 1},
    ]
    options = {"ftol": 1e-14, "maxiter": 1000}
    limits = [(0.0, 1.0)] * w.size
    best = minimize(
        lambda q: -likelihood(q), start, bounds=limits, constraints=rules, options=options
    )
    room = {
        "type": "ineq",
        "fun": lambda q: likelihood(q) + best.fun + student.ppf(0.975, 29) ** 2 / 2,
    }
    ends = [
        minimize(
            lambda q, sign=sign: sign * (q @ (w * r)),
            best.x,
            bounds=limits,
            constraints=[*rules, room],
            options=options,
        )
        for sign in (1.0, -1.0)
    ]
    expected = (ends[0].fun, -ends[1].fun)
    assert interval(terms) == pytest.approx(expected, abs=2e-6)


@settings(max_examples=60, deadline=None)  # some hundred maxima each
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 40),
    most=st.floats(1.5, 100),
    rate=st.floats(0, 1),
    level=st.floats(0.05, 0.99),
    higher=st.floats(0.05, 0.99),
)
def test_intervals_are_nested_within_bounds_and_never_inverted(  # noqa: PLR0913, PLR0917 - one a variable
    seed: int, n: int, most: float, rate: float, level: float, higher: float
) -> None:
    """On the smallest and on the most lopsided samples as well."""
    level, higher = sorted((level, higher))
    generator = np.random.default_rng(seed)
    weights = np.minimum(generator.exponential(size=n) + 1e-3, most)
    terms = weighted_terms(weights, (generator.uniform(size=n) < rate).astype(float), most)
    low, high = interval(terms, level)
    lower, upper = interval(terms, higher)
    value = terms.numerator.sum() / terms.denominator.sum()
    room = 1e-9
    assert 0 <= lower <= low + room
    assert low <= value <= high
    assert high - room <= upper <= 1


def test_order_changes_nothing() -> None:
    """Shuffled rows give the same ends to twelve digits."""
    generator = np.random.default_rng(9)
    weights = generator.exponential(size=500)
    rewards = (generator.uniform(size=500) < 0.1).astype(float)
    order = generator.permutation(500)
    one = interval(weighted_terms(weights, rewards, 10.0))
    other = interval(weighted_terms(weights[order], rewards[order], 10.0))
    assert one == pytest.approx(other, rel=1e-12)
