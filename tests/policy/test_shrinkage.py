"""How far blocks of weights are believed: what was foreseen decides, and nothing is made up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.catalog import parse_catalog
from policy.crosses import Crosses
from policy.eligibility import eligibility
from policy.examples import example, text_example
from policy.exploration import Exploration
from policy.foresight import BLOCKS, SQUARES, WEIGHT, foresee
from policy.learning import Student
from policy.request import Request
from policy.shrinkage import FACTOR_MIN, FIRST_LOOK, Shrinkage
from policy.situation import Situation
from policy.tokens import example_sides, example_text, text_sides
from policy.vw import SIZE, Regression
from tests.policy.catalogs import minimal, toml
from tests.policy.models import actions, sets_of_crosses
from tests.policy.situations import situations

RATE = 0.2
EVERYWHERE = np.arange(SIZE)


def shop(features: dict[str, str]) -> Situation:
    """Three offers on one channel."""
    offers = {name: {"channels": ["email"]} for name in ("a", "b", "c")}
    catalog = parse_catalog(toml(minimal(channels={"email": {}}, offers=offers)))
    return eligibility(Request(now_ms=0, features=features), catalog).situation


@settings(max_examples=10)
@given(situations(), sets_of_crosses, st.integers(0, 2**32 - 1))
def test_it_learns_what_vowpal_wabbit_learns(
    situation: Situation, crosses: Crosses, seed: int
) -> None:
    """Over any features and crosses, places and sums are Vowpal Wabbit's own, but for rounding."""
    rng, known = np.random.default_rng(seed), actions(situation)
    regression, shrinkage = Regression(RATE, crosses=crosses), Shrinkage(RATE)
    for _ in range(8):
        one = example(situation, known[rng.integers(len(known))], crosses)
        share = float(rng.choice([0.0, 1.0, rng.random()]))
        regression.learn(one.text, share, 1.5, -2.0)
        shrinkage.learn(one.terms, share, 1.5, -2.0)
    weights, squares = regression.read(EVERYWHERE)
    regression.close()
    np.testing.assert_allclose(shrinkage._memory[:, WEIGHT], weights, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(shrinkage._memory[:, SQUARES], squares, rtol=1e-3, atol=1e-5)


@settings(max_examples=25)
@given(situations(), st.integers(0, 2**32 - 1))
def test_an_example_can_be_made_of_its_text(situation: Situation, seed: int) -> None:
    """A training run notes texts alone: what it reads back has the same weights, in every bit."""
    known = actions(situation)
    path = known[seed % len(known)]
    sides = {side: tokens for side, tokens in example_sides(situation, path).items() if tokens}
    assert text_sides(example_text(situation, path)) == sides
    first, second = example(situation, path), text_example(example_text(situation, path))
    assert first.text == second.text
    for one, other in zip(first.terms, second.terms, strict=True):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0), st.floats(0.5, 3.0))
def test_evidence_is_the_slope_of_what_was_foreseen(seed: int, share: float, weight: float) -> None:
    """They are the derivatives of the log likelihood in the factors, by finite differences."""
    rng = np.random.default_rng(seed)
    terms = example(shop({"plan": "gold", "mood": "good"}), (0, 0, 0)).terms
    weights = rng.normal(0.0, 0.3, SIZE).astype(np.float32)
    factors = rng.uniform(FACTOR_MIN, 1.0, BLOCKS)

    def likelihood(changed: np.ndarray) -> float:
        added = weights[terms.places].astype(float) * terms.factors * changed[terms.blocks]
        logit = added.sum() - 1.0
        return float(weight**2 * (share * logit - np.logaddexp(0.0, logit)))

    evidence = np.zeros((1 + BLOCKS, BLOCKS))
    memory = np.zeros((SIZE, 3), dtype=np.float32)
    memory[:, WEIGHT] = weights
    foresee(memory, terms, np.array([share, weight, -1.0, RATE]), factors, evidence)
    for block in np.unique(terms.blocks):
        step = 1e-4 * (np.arange(BLOCKS) == block)
        up, middle, down = (likelihood(factors + k * step) for k in (1, 0, -1))
        assert evidence[0, block] == pytest.approx((up - down) / 2e-4, abs=1e-5)
        bend = -(up - 2 * middle + down) / 1e-8
        assert evidence[1 + block, block] == pytest.approx(bend, abs=1e-4)


def test_a_feature_that_tells_nothing_is_believed_less() -> None:
    """Of two context features only one bears on the offers: the other's cross counts for less."""
    rng, student = np.random.default_rng(5), Student(Exploration())
    for _ in range(8 * FIRST_LOOK):
        taste, noise, offer = rng.integers(3), rng.integers(3), rng.integers(3)
        features = {"taste": str(taste), "noise": str(noise)}
        reward = float(rng.random() < (0.5 if taste == offer else 0.1))
        student.learn(shop(features), (int(offer), 0, 0), reward)
    factors = student._shrinkage._factors
    terms = example(shop({"noise": "0", "taste": "0"}), (0, 0, 0)).terms
    # After the constant come the sides alone: two of the context, one token each of offer, channel,
    # and three of the window; then the crosses of the context with the offer, sorted by name.
    noise, taste = factors[terms.blocks[8:10]]
    assert noise < 0.6 < taste
    assert factors.min() >= FACTOR_MIN
    assert factors.max() <= 1.0
    student.close()


def test_what_is_believed_less_is_less_uncertain_too() -> None:
    """A weight that counts for a share of itself has that share of its standard error."""
    shrinkage = Shrinkage(RATE)
    shrinkage._blocks[7], shrinkage._factors[3] = 3, 0.5
    weights = np.array([[0.4, 0.4], [12.0, 12.0]], dtype=np.float32)
    shrunk = shrinkage.shrunk(weights, np.array([7, 8]))
    np.testing.assert_allclose(shrunk, [[0.2, 0.4], [48.0, 12.0]], rtol=1e-6)


def test_nothing_is_taken_away_before_the_first_look() -> None:
    """What was learned of few examples is what is scored, in every bit."""
    rng, student = np.random.default_rng(6), Student(Exploration())
    for _ in range(FIRST_LOOK - 1):
        situation = shop({"taste": str(rng.integers(9))})
        student.learn(situation, (int(rng.integers(3)), 0, 0), float(rng.integers(2)))
    read = student._regression.read(EVERYWHERE)
    np.testing.assert_array_equal(student.chain.weights, read)
    student.learn(shop({"taste": "1"}), (0, 0, 0), 1.0)
    assert not np.array_equal(student.chain.weights[0], student._regression.read(EVERYWHERE)[0])
    student.close()
