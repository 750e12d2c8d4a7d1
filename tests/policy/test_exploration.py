"""Exploration: every kind gives a true pmf for any values, with its support guaranteed."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import ndtr

from policy.chain import Chain, Scale
from policy.choice import action_probability, choose, path_pmfs, stage_pmf
from policy.errors import DivergedModelError
from policy.exploration import ERROR_SCALE_MIN, FLOOR_MIN, GAMMA_SCALE_MAX, Exploration, Name
from policy.scores import FloatArray, Scores
from policy.vw import SIZE
from tests.shop import situation

KINDS: list[Name] = ["matching", "squarecb", "epsilon", "softmax", "greedy"]
SUM_TOLERANCE = 1e-9

kinds = st.sampled_from(KINDS)
positive = st.floats(1e-300, GAMMA_SCALE_MAX)
settings = st.builds(
    Exploration,
    name=kinds,
    floor=st.floats(FLOOR_MIN, 1.0),
    error_scale=st.floats(ERROR_SCALE_MIN, 100.0),
    gamma_scale=positive,
    gamma_exponent=st.floats(0.0, 1.0),
    epsilon=st.floats(0.0, 1.0),
    temperature=st.floats(5e-324, 1e300),
)
ordinary = st.floats(-10.0, 10.0)
extreme = st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e-9, 50.0, -50.0, 1e6, -1e6])
errors = st.one_of(st.floats(0.1, 10.0), st.sampled_from([1e-6, 1e-3, 1e3, 1e6]))
pairs = st.tuples(st.one_of(ordinary, extreme), errors)
score_lists = st.lists(pairs, min_size=1, max_size=30)
interactions = st.integers(0, 10**9)


def pmf(
    exploration: Exploration, scores: Sequence[tuple[float, float]], seen: int = 1_000
) -> FloatArray:
    """The pmf for a list of logits and errors."""
    logits, sizes = zip(*scores, strict=True)
    return exploration.pmf(Scores(np.array(logits), np.array(sizes)), seen)


def known(*found: float) -> list[tuple[float, float]]:
    """Actions whose expected rewards are some shares of the scale, all known as well."""
    return [(math.log(share / (1.0 - share)), 1.0) for share in found]


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


@given(settings, score_lists, interactions)
def test_a_pmf_sums_to_one_and_nothing_falls_below_the_floor(
    exploration: Exploration, scores: list[tuple[float, float]], seen: int
) -> None:
    """For any settings and any finite scores: sum 1, each at least floor / actions, no NaN."""
    found = pmf(exploration, scores, seen)
    assert found.shape == (len(scores),)
    assert found.dtype == np.float64
    assert abs(math.fsum(found) - 1.0) <= SUM_TOLERANCE
    least = exploration.floor / len(scores)
    assert found.min() >= least * (1.0 - SUM_TOLERANCE)


@given(settings, st.lists(ordinary, min_size=1, max_size=30), errors, interactions)
def test_a_better_action_is_never_less_likely(
    exploration: Exploration, logits: list[float], error: float, seen: int
) -> None:
    """Of actions that are known as well, probabilities do not fall in the order of the logits."""
    found = pmf(exploration, [(logit, error) for logit in logits], seen)
    ordered = found[np.argsort(logits, kind="stable")]
    assert (np.diff(ordered) >= -1e-12).all()


@given(settings, score_lists, interactions)
def test_equal_scores_are_equally_likely(
    exploration: Exploration, scores: list[tuple[float, float]], seen: int
) -> None:
    """Where an action stands in the catalog gives it no advantage."""
    found = pmf(exploration, scores + scores, seen)
    np.testing.assert_allclose(found[: len(scores)], found[len(scores) :], rtol=1e-9)


@given(settings, st.permutations(range(6)), interactions)
def test_the_order_of_actions_does_not_matter(
    exploration: Exploration, order: list[int], seen: int
) -> None:
    """Permuting the actions permutes their probabilities."""
    scores = [(0.5, 1.0), (-1.0, 2.0), (0.5, 1.0), (2.0, 0.3), (0.0, 1.0), (2.0, 0.3)]
    shuffled = pmf(exploration, [scores[index] for index in order], seen)
    np.testing.assert_allclose(shuffled, pmf(exploration, scores, seen)[order], rtol=1e-9)


@given(settings, st.floats(-50.0, 50.0), errors, st.integers(1, 50), interactions)
def test_nothing_to_tell_apart_gives_an_even_pmf(
    exploration: Exploration, logit: float, error: float, count: int, seen: int
) -> None:
    """Equal scores, as those of a new model, make every action equally likely."""
    found = pmf(exploration, [(logit, error)] * count, seen)
    np.testing.assert_allclose(found, 1.0 / count, rtol=1e-9)


def test_probability_matching_is_the_default() -> None:
    """Without a word in the catalog an action is as likely as it is to be the best."""
    assert Exploration() == Exploration(name="matching", floor=0.005, error_scale=0.3)
    found = pmf(Exploration(), [(0.5, 1.0), (0.0, 1.0)])
    better = float(ndtr(0.5 / (0.3 * math.sqrt(2.0))))
    np.testing.assert_allclose(
        found, [0.995 * better + 0.0025, 0.995 * (1 - better) + 0.0025], atol=2e-3
    )


def test_matching_tries_what_it_does_not_know() -> None:
    """Of two actions of one value below the best, the one that is known less is likelier."""
    found = pmf(Exploration(), [(1.0, 1.0), (0.0, 1.0), (0.0, 3.0)])
    assert found[0] > found[2] > 2.0 * found[1]


@given(st.lists(pairs, min_size=1, max_size=10))
def test_matching_is_a_function_of_scaled_errors(scores: list[tuple[float, float]]) -> None:
    """Twice the errors at half the scale are the same, to the last bit."""
    half = [(logit, 2.0 * error) for logit, error in scores]
    found = pmf(Exploration(error_scale=0.25), half)
    np.testing.assert_array_equal(found, pmf(Exploration(error_scale=0.5), scores))


@pytest.mark.parametrize("kind", ["squarecb", "epsilon", "softmax", "greedy"])
def test_only_matching_asks_how_well_values_are_known(kind: Name) -> None:
    """All other kinds look at the values alone."""
    exploration = Exploration(name=kind)
    values = [0.3, -1.0, 0.2]
    sure, unsure = ([(value, error) for value in values] for error in (0.01, 100.0))
    np.testing.assert_array_equal(pmf(exploration, sure), pmf(exploration, unsure))


@given(
    st.lists(ordinary, min_size=1, max_size=12),
    st.floats(0.01, 1000.0),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([0, 1, 4, 10_000]),
    st.floats(0.001, 0.5),
)
def test_squarecb_is_the_formula_of_the_paper(
    logits: list[float], scale: float, exponent: float, seen: int, floor: float
) -> None:
    """Inverse-gap weighting of the expected shares agrees with exact arithmetic to 1e-9."""
    exploration = Exploration(
        name="squarecb", floor=floor, gamma_scale=scale, gamma_exponent=exponent
    )
    growth = {0.0: 1, 0.5: math.isqrt(max(seen, 1)), 1.0: max(seen, 1)}[exponent]
    found = Scores(np.array(logits), np.ones(len(logits)))
    expected = exact_squarecb(found.shares.tolist(), Fraction(scale) * growth, Fraction(floor))
    np.testing.assert_allclose(exploration.pmf(found, seen), expected, rtol=1e-9)


def test_squarecb_explores_less_the_more_it_has_seen() -> None:
    """γ grows with the interactions, and with it the probability of the best action."""
    exploration = Exploration(name="squarecb")
    best = [pmf(exploration, known(0.2, 0.8), seen)[1] for seen in (0, 1, 100, 10_000)]
    assert best[0] == best[1]
    assert best[1] < best[2] < best[3]


def test_epsilon_gives_the_best_all_but_epsilon() -> None:
    """With ε 0.2 and four actions the best gets 0.85 and the others 0.05 each, under the floor."""
    exploration = Exploration(name="epsilon", epsilon=0.2, floor=FLOOR_MIN)
    found = pmf(exploration, known(0.1, 0.4, 0.2, 0.3))
    np.testing.assert_allclose(found, [0.05, 0.85, 0.05, 0.05], atol=2 * FLOOR_MIN)


def test_softmax_weighs_by_the_exponential() -> None:
    """One temperature of difference in expected shares makes an action e times as likely."""
    found = pmf(Exploration(name="softmax", temperature=0.25, floor=FLOOR_MIN), known(0.5, 0.75))
    assert found[1] / found[0] == pytest.approx(math.e, rel=1e-4)


def test_greedy_takes_the_best_and_shares_ties() -> None:
    """All mass but the floor goes to the best, evenly where there are several."""
    found = pmf(Exploration(name="greedy", floor=0.03), known(0.4, 0.3, 0.4))
    np.testing.assert_allclose(found, [0.495, 0.01, 0.495])


def test_greedy_tells_apart_what_is_all_but_certain() -> None:
    """Logits whose shares round to the same number are still in order."""
    found = pmf(Exploration(name="greedy", floor=0.02), [(45.0, 1.0), (46.0, 1.0)])
    np.testing.assert_allclose(found, [0.01, 0.99])


def test_a_floor_of_one_is_uniform() -> None:
    """A floor of everything leaves nothing to the scores."""
    for kind in KINDS:
        found = pmf(Exploration(name=kind, floor=1.0), known(0.1, 0.9, 0.2))
        np.testing.assert_allclose(found, 1.0 / 3.0)


@pytest.mark.parametrize("column", [0, 1])
@given(
    exploration=settings,
    scores=score_lists,
    hostile=st.sampled_from([math.nan, math.inf, -math.inf]),
    place=st.integers(0, 30),
)
def test_a_score_that_is_no_number_is_an_error(
    column: int,
    exploration: Exploration,
    scores: list[tuple[float, float]],
    hostile: float,
    place: int,
) -> None:
    """A model that has diverged stops the decision; it never makes up a probability."""
    spoilt = (hostile, 1.0) if column == 0 else (0.0, hostile)
    with pytest.raises(DivergedModelError):
        pmf(exploration, [*scores[:place], spoilt, *scores[place:]])


@pytest.mark.parametrize(
    "field", ["floor", "error_scale", "gamma_scale", "gamma_exponent", "epsilon"]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_setting_out_of_range_is_refused(field: str, value: float) -> None:
    """No setting can be NaN, infinite or negative."""
    with pytest.raises(ValidationError):
        Exploration.model_validate({field: value})


def test_the_largest_gamma_is_finite() -> None:
    """The steepest setting after the most interactions still gives a pmf."""
    exploration = Exploration(name="squarecb", gamma_scale=GAMMA_SCALE_MAX, gamma_exponent=1.0)
    np.testing.assert_allclose(pmf(exploration, known(0.2, 0.8), 2**63), [0.0025, 0.9975])


@pytest.mark.parametrize("field", ["floor", "error_scale", "gamma_scale", "temperature"])
def test_a_setting_that_would_take_support_away_is_refused(field: str) -> None:
    """The floor, the scale of errors, γ and the temperature cannot be 0."""
    with pytest.raises(ValidationError):
        Exploration.model_validate({field: 0.0})


def test_errors_that_vanish_in_rounding_are_refused() -> None:
    """Errors far below the resolution of their logits would give probabilities that are NaN."""
    with pytest.raises(ValidationError):
        Exploration(error_scale=ERROR_SCALE_MIN / 2)
    least = Exploration(error_scale=ERROR_SCALE_MIN)
    assert pmf(least, [(50.0, 1e-6), (49.0, 1e-6)])[0] > 0.99


def test_a_floor_that_vanishes_in_rounding_is_refused() -> None:
    """A floor is large enough that every action of the largest catalog can be drawn."""
    with pytest.raises(ValidationError):
        Exploration(floor=FLOOR_MIN / 2)
    exploration = Exploration(name="greedy", floor=FLOOR_MIN)
    assert pmf(exploration, [(1.0, 1.0)] + [(0.0, 1.0)] * 9_999).min() > 2.0**-53


@pytest.mark.parametrize("hostile", [math.nan, math.inf, -math.inf])
def test_a_chain_that_has_diverged_tells_no_probability(hostile: float) -> None:
    """Neither of a choice nor of a path that is given, as in an evaluation."""
    table = np.full((2, SIZE), hostile, dtype=np.float32)
    chain, found = Chain("chain-x", table, Exploration(), Scale(0.0, 1.0), 100), situation("x")
    for asked in (
        lambda: choose(chain, found, 1),
        lambda: path_pmfs(chain, found, (0, 0, 0)),
        lambda: action_probability(chain, found, (0, 0, 0)),
        lambda: stage_pmf(chain, found, (0,)),
    ):
        with pytest.raises(DivergedModelError):
            asked()
