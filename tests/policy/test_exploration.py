"""Exploration: every kind gives a true pmf for any values, with its support guaranteed."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policy.errors import DivergedModelError
from policy.exploration import FLOOR_MIN, GAMMA_SCALE_MAX, Exploration, FloatArray, Name

KINDS: list[Name] = ["squarecb", "epsilon", "softmax", "greedy"]
SUM_TOLERANCE = 1e-9

kinds = st.sampled_from(KINDS)
positive = st.floats(1e-300, GAMMA_SCALE_MAX)
settings = st.builds(
    Exploration,
    name=kinds,
    floor=st.floats(FLOOR_MIN, 1.0),
    gamma_scale=positive,
    gamma_exponent=st.floats(0.0, 1.0),
    epsilon=st.floats(0.0, 1.0),
    temperature=st.floats(5e-324, 1e300),
)
ordinary = st.floats(-10.0, 10.0)
extreme = st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e-300, 1e300, -1e300, 1.7e308, -1.7e308])
value_lists = st.lists(st.one_of(ordinary, extreme), min_size=1, max_size=30)
interactions = st.integers(0, 10**9)


def pmf(exploration: Exploration, values: list[float], seen: int = 1_000) -> FloatArray:
    """The pmf for a list of values."""
    return exploration.pmf(np.array(values), seen)


def exact_squarecb(values: list[float], gamma: Fraction, floor: Fraction) -> list[float]:
    """Inverse-gap weighting from the paper's formula, in exact arithmetic.

    Foster and Rakhlin 2020, algorithm 1: p(a) = 1 / (K + γ (best - value(a))) for all but the
    best action, which gets the rest; here the best actions share the rest evenly.
    """
    count = Fraction(len(values))
    gaps = [Fraction(max(values)) - Fraction(value) for value in values]
    raw = [1 / (count + gamma * gap) if gap else Fraction(0) for gap in gaps]
    best = (1 - sum(raw, Fraction(0))) / gaps.count(Fraction(0))
    shares = [share if gap else best for share, gap in zip(raw, gaps, strict=True)]
    return [float((1 - floor) * share + floor / count) for share in shares]


@given(settings, value_lists, interactions)
def test_a_pmf_sums_to_one_and_nothing_falls_below_the_floor(
    exploration: Exploration, values: list[float], seen: int
) -> None:
    """For any settings and any finite values: sum 1, each at least floor / actions, no NaN."""
    found = pmf(exploration, values, seen)
    assert found.shape == (len(values),)
    assert found.dtype == np.float64
    assert abs(math.fsum(found) - 1.0) <= SUM_TOLERANCE
    least = exploration.floor / len(values)
    assert found.min() >= least * (1.0 - SUM_TOLERANCE)


@given(settings, value_lists, interactions)
def test_a_better_action_is_never_less_likely(
    exploration: Exploration, values: list[float], seen: int
) -> None:
    """In the order of their values, probabilities do not fall."""
    found = pmf(exploration, values, seen)
    ordered = found[np.argsort(values, kind="stable")]
    assert (np.diff(ordered) >= -1e-12).all()


@given(settings, value_lists, interactions)
def test_equal_values_are_equally_likely(
    exploration: Exploration, values: list[float], seen: int
) -> None:
    """Where an action stands in the catalog gives it no advantage."""
    found = pmf(exploration, values + values, seen)
    np.testing.assert_allclose(found[: len(values)], found[len(values) :], rtol=1e-9)


@given(settings, st.permutations(range(6)), interactions)
def test_the_order_of_actions_does_not_matter(
    exploration: Exploration, order: list[int], seen: int
) -> None:
    """Permuting the actions permutes their probabilities."""
    values = [0.5, -1.0, 0.5, 2.0, 0.0, 2.0]
    shuffled = pmf(exploration, [values[index] for index in order], seen)
    np.testing.assert_allclose(shuffled, pmf(exploration, values, seen)[order], rtol=1e-9)


@given(settings, st.floats(-1e6, 1e6), st.integers(1, 50), interactions)
def test_nothing_to_tell_apart_gives_an_even_pmf(
    exploration: Exploration, value: float, count: int, seen: int
) -> None:
    """Equal values, as those of a new model, make every action equally likely."""
    np.testing.assert_allclose(pmf(exploration, [value] * count, seen), 1.0 / count, rtol=1e-9)


@given(
    st.lists(ordinary, min_size=1, max_size=12),
    st.floats(0.01, 1000.0),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([0, 1, 4, 10_000]),
    st.floats(0.001, 0.5),
)
def test_squarecb_is_the_formula_of_the_paper(
    values: list[float], scale: float, exponent: float, seen: int, floor: float
) -> None:
    """Inverse-gap weighting agrees with exact arithmetic to 1e-9."""
    exploration = Exploration(
        name="squarecb", floor=floor, gamma_scale=scale, gamma_exponent=exponent
    )
    growth = {0.0: 1, 0.5: math.isqrt(max(seen, 1)), 1.0: max(seen, 1)}[exponent]
    expected = exact_squarecb(values, Fraction(scale) * growth, Fraction(floor))
    np.testing.assert_allclose(pmf(exploration, values, seen), expected, rtol=1e-9)


def test_squarecb_explores_less_the_more_it_has_seen() -> None:
    """γ grows with the interactions, and with it the probability of the best action."""
    best = [pmf(Exploration(), [0.0, 1.0], seen)[1] for seen in (0, 1, 100, 10_000)]
    assert best[0] == best[1]
    assert best[1] < best[2] < best[3]


def test_epsilon_gives_the_best_all_but_epsilon() -> None:
    """With ε 0.2 and four actions the best gets 0.85 and the others 0.05 each, under the floor."""
    found = pmf(Exploration(name="epsilon", epsilon=0.2, floor=FLOOR_MIN), [0.0, 3.0, 1.0, 2.0])
    np.testing.assert_allclose(found, [0.05, 0.85, 0.05, 0.05], atol=2 * FLOOR_MIN)


def test_softmax_weighs_by_the_exponential() -> None:
    """One temperature of difference makes an action e times as likely."""
    found = pmf(Exploration(name="softmax", temperature=0.5, floor=FLOOR_MIN), [1.0, 1.5])
    assert found[1] / found[0] == pytest.approx(math.e, rel=1e-4)


def test_greedy_takes_the_best_and_shares_ties() -> None:
    """All mass but the floor goes to the best, evenly where there are several."""
    found = pmf(Exploration(name="greedy", floor=0.03), [2.0, 1.0, 2.0])
    np.testing.assert_allclose(found, [0.495, 0.01, 0.495])


def test_a_floor_of_one_is_uniform() -> None:
    """A floor of everything leaves nothing to the values."""
    for kind in KINDS:
        found = pmf(Exploration(name=kind, floor=1.0), [0.0, 5.0, 1.0])
        np.testing.assert_allclose(found, 1.0 / 3.0)


@given(settings, value_lists, st.sampled_from([math.nan, math.inf, -math.inf]), st.integers(0, 30))
def test_a_value_that_is_no_number_is_an_error(
    exploration: Exploration, values: list[float], hostile: float, place: int
) -> None:
    """A model that has diverged stops the decision; it never makes up a probability."""
    values.insert(place % (len(values) + 1), hostile)
    with pytest.raises(DivergedModelError):
        pmf(exploration, values)


@pytest.mark.parametrize("field", ["floor", "gamma_scale", "gamma_exponent", "epsilon"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_setting_out_of_range_is_refused(field: str, value: float) -> None:
    """No setting can be NaN, infinite or negative."""
    with pytest.raises(ValidationError):
        Exploration.model_validate({field: value})


def test_the_largest_gamma_is_finite() -> None:
    """The steepest setting after the most interactions still gives a pmf."""
    exploration = Exploration(gamma_scale=GAMMA_SCALE_MAX, gamma_exponent=1.0)
    np.testing.assert_allclose(pmf(exploration, [0.0, 1.0], 2**63), [0.005, 0.995])


@pytest.mark.parametrize("field", ["floor", "gamma_scale", "temperature"])
def test_a_setting_that_would_take_support_away_is_refused(field: str) -> None:
    """The floor, γ and the temperature cannot be 0."""
    with pytest.raises(ValidationError):
        Exploration.model_validate({field: 0.0})


def test_a_floor_that_vanishes_in_rounding_is_refused() -> None:
    """A floor is large enough that every action of the largest catalog can be drawn."""
    with pytest.raises(ValidationError):
        Exploration(floor=FLOOR_MIN / 2)
    assert pmf(Exploration(name="greedy", floor=FLOOR_MIN), [1.0] + [0.0] * 9_999).min() > 2.0**-53
