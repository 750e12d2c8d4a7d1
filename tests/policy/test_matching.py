"""Probability matching: close to the exact integral, fair, and a pmf whatever comes."""

from math import fsum
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_ndtr, ndtr

from policy.matching import best_probabilities
from policy.scores import FloatArray

SUM_TOLERANCE = 1e-9
FINE_NODES = 20_001
# Ratio of the largest error to the smallest, and how far a probability may be from the integral, at
# worst and on average. Measured over 1,600 draws each: 0.001, 0.0025 and 0.02 at worst; at 100 it
# is 0.02 on average, but a well-known action between two nodes may lose a third.
TOLERANCES = [(1.0, 0.002, 0.001), (3.0, 0.01, 0.002), (10.0, 0.02, 0.003), (100.0, 0.35, 0.02)]

logit = st.floats(-50.0, 50.0)
error = st.floats(-6.0, 6.0).map(lambda exponent: 10.0**exponent)
normals = st.lists(st.tuples(logit, error), min_size=1, max_size=30)


def columns(pairs: list[tuple[float, float]]) -> tuple[FloatArray, FloatArray]:
    """Logits and errors as arrays."""
    logits, errors = zip(*pairs, strict=True)
    return np.array(logits), np.array(errors)


def assert_is_pmf(pmf: FloatArray, count: int) -> None:
    """A probability for each; they sum to 1."""
    assert pmf.shape == (count,)
    assert np.isfinite(pmf).all()
    assert (pmf >= 0.0).all()
    assert abs(fsum(pmf) - 1.0) <= SUM_TOLERANCE


def fine(logits: FloatArray, errors: FloatArray) -> FloatArray:
    """The integral over many nodes: evenly over all that matters, and over each normal alone."""
    low, high = (logits - 8.0 * errors).max(), (logits + 8.0 * errors).max()
    own = (logits + errors * np.linspace(-8.0, 8.0, 301)[:, None]).ravel()
    nodes = np.concatenate([np.linspace(low, high, FINE_NODES), own[own >= low]])
    nodes = np.unique(nodes)
    z = (nodes[:, None] - logits) / errors
    below = log_ndtr(z)
    others = below.sum(axis=1, keepdims=True) - below
    mass = np.trapezoid(np.exp(others - 0.5 * z * z) / errors, nodes, axis=0)
    return np.asarray(mass / mass.sum())


@pytest.mark.parametrize(("ratio", "worst", "mean"), TOLERANCES)
def test_probabilities_are_close_to_the_integral(ratio: float, worst: float, mean: float) -> None:
    """32 nodes are enough where errors are alike, and nearly so where they are not."""
    rng = np.random.default_rng(7)
    differences = []
    for gap in np.repeat([0.3, 1.0, 3.0, 10.0], 15):
        count = rng.integers(2, 12)
        errors = np.exp(rng.uniform(0.0, np.log(ratio), count)) / np.sqrt(ratio)
        logits = gap * rng.normal(size=count)
        missed = best_probabilities(logits, errors) - fine(logits, errors)
        differences.append(np.abs(missed).max())
    assert max(differences) < worst
    assert np.mean(differences) < mean


@given(st.floats(-5.0, 5.0), st.floats(-1.0, 1.0), st.floats(0.5, 2.0))
def test_two_actions_have_the_closed_form(gap: float, middle: float, second: float) -> None:
    """Of two, one is better with the probability that a normal difference is above 0."""
    found = best_probabilities(np.array([middle + gap, middle]), np.array([1.0, second]))
    assert found[0] == pytest.approx(float(ndtr(gap / np.hypot(1.0, second))), abs=0.006)


@given(normals)
def test_whatever_the_scores_the_answer_is_a_pmf(pairs: list[tuple[float, float]]) -> None:
    """Errors from a millionth to a million, logits to either limit: no NaN, sum 1."""
    assert_is_pmf(best_probabilities(*columns(pairs)), len(pairs))


@pytest.mark.parametrize("count", [1, 2, 1_000, 10_000])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_many_equal_actions_are_equally_likely(count: int, size: float) -> None:
    """A product of thousands of probabilities does not vanish."""
    found = best_probabilities(np.zeros(count), np.full(count, size))
    assert_is_pmf(found, count)
    np.testing.assert_allclose(found, 1.0 / count, rtol=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_extreme_actions_have_a_pmf(seed: int) -> None:
    """The largest trees, with every size of error side by side."""
    rng = np.random.default_rng(seed)
    logits, errors = rng.uniform(-50.0, 50.0, 1_000), 10.0 ** rng.uniform(-6.0, 6.0, 1_000)
    assert_is_pmf(best_probabilities(logits, errors), 1_000)


@given(normals)
def test_equal_scores_are_equally_likely(pairs: list[tuple[float, float]]) -> None:
    """Where an action stands gives it no advantage."""
    found = best_probabilities(*columns(pairs + pairs))
    np.testing.assert_allclose(found[: len(pairs)], found[len(pairs) :], rtol=1e-9, atol=1e-300)


@given(st.lists(logit, min_size=1, max_size=30), error)
def test_equally_known_actions_are_as_likely_as_good(logits: list[float], size: float) -> None:
    """With one error for all, a better action is never less likely."""
    found = best_probabilities(np.array(logits), np.full(len(logits), size))
    assert (np.diff(found[np.argsort(logits, kind="stable")]) >= -1e-12).all()


@given(st.lists(st.floats(-3.0, 3.0), min_size=2, max_size=10), st.floats(0.1, 3.0))
def test_a_better_action_is_likelier_than_it_was(logits: list[float], rise: float) -> None:
    """An action whose own value rises is at least as likely to be the best, but for the nodes."""
    errors = np.ones(len(logits))
    before = best_probabilities(np.array(logits), errors)[0]
    after = best_probabilities(np.array([logits[0] + rise, *logits[1:]]), errors)[0]
    assert after >= before - 0.004


eighths = st.integers(-24, 24).map(lambda number: number / 8.0)  # moving them rounds nothing
alike = st.lists(st.tuples(eighths, st.floats(0.2, 2.0)), min_size=1, max_size=12)


@given(alike, st.randoms(use_true_random=False))
def test_the_order_of_actions_does_not_matter(
    pairs: list[tuple[float, float]], random: Random
) -> None:
    """Permuting actions permutes their probabilities, also where the best are equally good."""
    order = random.sample(range(len(pairs)), len(pairs))
    found = best_probabilities(*columns(pairs))
    shuffled = best_probabilities(*columns([pairs[place] for place in order]))
    np.testing.assert_allclose(shuffled, found[order], rtol=1e-9, atol=1e-15)


@given(alike)
def test_only_differences_in_units_of_errors_matter(pairs: list[tuple[float, float]]) -> None:
    """Moving all values, or measuring values and errors in another unit, changes nothing."""
    logits, errors = columns(pairs)
    found = best_probabilities(logits, errors)
    np.testing.assert_allclose(best_probabilities(logits + 8.0, errors), found, atol=1e-9)
    np.testing.assert_allclose(best_probabilities(4.0 * logits, 4.0 * errors), found, atol=1e-12)


def test_what_is_not_known_is_tried() -> None:
    """Of two actions of one value below the best, the one that is known less is likelier."""
    found = best_probabilities(np.array([0.0, -1.0, -1.0]), np.array([0.5, 0.5, 2.0]))
    assert found[2] > 2.0 * found[1]


def test_what_is_known_to_be_worse_is_not() -> None:
    """An action that is certainly worse has no mass, and the best has it all."""
    found = best_probabilities(np.array([1.0, -1.0]), np.array([0.01, 0.01]))
    np.testing.assert_allclose(found, [1.0, 0.0], atol=1e-12)


@given(normals)
def test_it_is_a_pure_function(pairs: list[tuple[float, float]]) -> None:
    """The same bits every time, and the arguments stay as they were."""
    logits, errors = columns(pairs)
    first = best_probabilities(logits, errors)
    np.testing.assert_array_equal(best_probabilities(logits, errors), first)
    np.testing.assert_array_equal(np.array(pairs).T, [logits, errors])
