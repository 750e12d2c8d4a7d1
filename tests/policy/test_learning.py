"""How a chain learns: what Vowpal Wabbit has learned is what is scored, and stays what it was."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.catalog import parse_catalog
from policy.chain import Chain, Scale
from policy.crosses import Crosses
from policy.eligibility import eligibility
from policy.errors import InvalidRewardError
from policy.examples import example, text_example
from policy.exploration import Exploration
from policy.learning import RATE, STALE_MAX, TERMS, Student, terms_of, touched
from policy.request import Request
from policy.situation import Path as ActionPath
from policy.situation import Situation
from policy.tokens import example_text
from policy.vw import SIZE, Regression
from tests.policy.catalogs import minimal, toml
from tests.policy.models import actions, sets_of_crosses, taught
from tests.policy.situations import situations

EVERYWHERE = np.arange(SIZE)
SCALE = Scale(-2.0, 6.0)

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture
def student() -> Iterator[Student]:
    """A student of rewards from -2 to 6 that has seen nothing."""
    found = Student(Exploration(), SCALE)
    yield found
    found.close()


@pytest.fixture
def situation() -> Situation:
    """Two offers, the first with two channels, 40 windows each, and three context features."""
    tables = minimal(
        channels={"email": {}, "push": {}},
        offers={"a": {"channels": ["email", "push"]}, "b": {"channels": ["email"]}},
        no_send={},
        send_times={"windows": 40},
    )
    request = Request(now_ms=0, features={"plan": "gold", "age": 3.0, "new": True})
    return eligibility(request, parse_catalog(toml(tables))).situation


def teach(student: Student, situation: Situation, seed: int, count: int) -> None:
    """Teaches random rewards of random actions, in contexts that hardly ever come again."""
    rng = np.random.default_rng(seed)
    known = actions(situation)
    for _ in range(count):
        now = replace(situation, features={"age": float(rng.random()), "id": str(rng.integers(99))})
        student.learn(now, known[rng.integers(len(known))], float(rng.uniform(-2.0, 6.0)))


def assert_read_back(student: Student) -> None:
    """The chain's weights are Vowpal Wabbit's own, all of them, as far as they are believed."""
    read = student._shrinkage.shrunk(student._regression.read(EVERYWHERE), EVERYWHERE)
    np.testing.assert_array_equal(student.chain.weights, read)


def test_a_new_student_knows_nothing(student: Student, situation: Situation) -> None:
    """Every action's value lies half-way up the scale; what is known as well is as likely."""
    assert student.interactions == student.chain.interactions == 0
    assert not student.chain.weights.any()
    first, second, _ = student.chain.pmf(situation, ())
    assert first == second
    np.testing.assert_array_equal(student.chain.values(situation, ()), 2.0)


@pytest.mark.parametrize("count", [1, 2, STALE_MAX - 1, STALE_MAX, STALE_MAX + 1, 2 * STALE_MAX])
def test_all_that_was_learned_is_read_back(
    student: Student, situation: Situation, count: int
) -> None:
    """However many examples were learned since, the chain has what Vowpal Wabbit has of them."""
    for seed in (count, count + 1):
        teach(student, situation, seed, count)
        assert_read_back(student)
    assert student.chain.interactions == student.interactions == 2 * count


def test_texts_are_read_back_too(student: Student, situation: Situation) -> None:
    """What was learned from a text alone, before or after situations, is not missed."""
    path = (0, 1, 2)
    for learned in (["text"], ["path", "text"], ["text", "path"], ["path"]):
        for kind in learned:
            if kind == "text":
                student.learn_example(text_example(example_text(situation, path)), 6.0)
            else:
                student.learn(situation, path, -2.0)
        assert_read_back(student)


@settings(max_examples=15)
@given(situations(), seeds, sets_of_crosses)
def test_what_an_example_touches_is_read_back(
    situation: Situation, seed: int, crosses: Crosses
) -> None:
    """Whatever its features, learning changes the weights that `touched` names, and no others."""
    with taught(situation, seed, crosses=crosses) as student:
        assert_read_back(student)


@settings(max_examples=15)
@given(situations(), sets_of_crosses, st.data())
def test_an_example_touches_its_own_weights(
    situation: Situation, crosses: Crosses, data: st.DataObject
) -> None:
    """A single example changes nothing outside, and all inside but for features that are 0."""
    path = data.draw(st.sampled_from(actions(situation)))
    model = Regression(0.2, crosses=crosses)
    model.learn(example_text(situation, path), 1.0)
    changed = set(np.flatnonzero(model.read(EVERYWHERE)[1]).tolist())
    places = set(touched(situation, path, crosses).tolist())
    assert len(places) <= terms_of(situation, path, crosses)
    assert changed <= places
    assert changed == places or tiny(situation, path)
    model.close()


def tiny(situation: Situation, path: ActionPath) -> bool:
    """Whether a number of the example is so small that its crosses round to nothing."""
    numbers = [part for part in example_text(situation, path).split() if ":" in part]
    return any(abs(float(number.rpartition(":")[2])) < 1e-3 for number in numbers)


def test_terms_are_the_weights_of_an_example(situation: Situation) -> None:
    """Context 3, one token for offer and channel, three for the window: counted by hand."""
    tokens = {"c": 3, "o": 1, "n": 1, "w": 3}
    pairs = ["co", "cn", "cw", "on", "nw", "ow"]
    expected = (
        1 + sum(tokens.values()) + sum(tokens[pair[0]] * tokens[pair[1]] for pair in pairs) + 3
    )
    assert terms_of(situation, (0, 0, 0)) == expected


def test_not_to_send_has_fewer_terms(situation: Situation) -> None:
    """It has no time: no weight of a window is touched."""
    place = situation.names(()).index("no_send")
    assert terms_of(situation, (place, 0, 0)) == 1 + 5 + 3 + 3 + 1 + 3


def test_chains_that_were_given_out_stay_as_they_were(
    student: Student, situation: Situation
) -> None:
    """Learning on changes neither the weights nor the answers of an earlier chain."""
    teach(student, situation, seed=1, count=10)
    early = student.chain
    weights, pmf = early.weights.copy(), early.pmf(situation, ())
    for count in (1, 2 * STALE_MAX):
        teach(student, situation, seed=2, count=count)
        assert student.chain is not early
        np.testing.assert_array_equal(early.weights, weights)
        np.testing.assert_array_equal(early.pmf(situation, ()), pmf)
    assert (student.chain.pmf(situation, ()) != pmf).any()


def test_without_learning_the_chain_is_the_same(student: Student, situation: Situation) -> None:
    """Asking again makes nothing anew."""
    teach(student, situation, seed=3, count=3)
    assert student.chain is student.chain


def expected_loss(chain: Chain, situation: Situation, path: ActionPath, share: float) -> float:
    """Cross entropy of a share of both classes under what a chain expects."""
    logit = float(chain.scores(situation, path[:2]).logits[path[2]])
    return share * math.log1p(math.exp(-logit)) + (1.0 - share) * math.log1p(math.exp(logit))


@settings(max_examples=30)
@given(situations(), seeds, st.floats(0.0, 1.0))
def test_the_loss_is_that_of_the_prediction_before(
    situation: Situation, seed: int, share: float
) -> None:
    """`learn` returns the cross entropy of the reward under what the chain said until then."""
    with taught(situation, seed) as student:
        before = student.chain
        for path in actions(situation)[:2]:
            expected = expected_loss(before, situation, path, share)
            assert student.learn(situation, path, share) == pytest.approx(
                expected, rel=1e-4, abs=1e-5
            )
            before = student.chain


def test_the_first_loss_is_a_bit(student: Student, situation: Situation) -> None:
    """Who knows nothing loses the logarithm of 2, whatever the reward is."""
    for reward in (-2.0, 1.0, 6.0):
        anew = Student(Exploration(), SCALE)
        assert anew.learn(situation, (0, 0, 0), reward) == pytest.approx(math.log(2.0))
        anew.close()
    assert student.interactions == 0


@pytest.mark.parametrize(("reward", "end"), [(-2.5, -2.0), (-1e300, -2.0), (7.0, 6.0), (1e9, 6.0)])
def test_a_reward_off_the_scale_counts_as_its_end(
    student: Student, situation: Situation, reward: float, end: float
) -> None:
    """Below the lowest it is the lowest, above the highest the highest."""
    other = Student(Exploration(), SCALE)
    student.learn(situation, (0, 0, 0), reward)
    other.learn(situation, (0, 0, 0), end)
    np.testing.assert_array_equal(student.chain.weights, other.chain.weights)
    other.close()


@pytest.mark.parametrize("reward", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_no_number_is_refused(
    student: Student, situation: Situation, reward: float
) -> None:
    """The error names it, nothing is learned or counted, and learning goes on."""
    teach(student, situation, seed=4, count=5)
    before = student.chain
    with pytest.raises(InvalidRewardError) as caught:
        student.learn(situation, (0, 0, 0), reward)
    assert repr(caught.value.reward) == repr(reward)
    with pytest.raises(InvalidRewardError):
        student.learn_example(example(situation, (0, 0, 0)), reward)
    assert student.interactions == 5
    assert student.chain is before
    assert_read_back(student)
    teach(student, situation, seed=5, count=5)
    assert_read_back(student)


def test_values_are_on_the_scale_of_the_rewards(student: Student, situation: Situation) -> None:
    """What always earns 5 comes to be valued at about 5, what earns -1 at about -1."""
    for _ in range(300):
        student.learn(situation, (0, 0, 0), 5.0)
        student.learn(situation, (1, 0, 0), -1.0)
    values = [student.chain.values(situation, (offer, 0))[0] for offer in (0, 1)]
    np.testing.assert_allclose(values, [5.0, -1.0], atol=0.5)


def test_more_terms_and_more_caution_make_smaller_steps(situation: Situation) -> None:
    """The rate is divided by both: twice the terms are the same as twice the caution."""
    weights = []
    for terms, caution in ((TERMS, 1.0), (TERMS, 2.0), (2.0 * TERMS, 1.0)):
        student = Student(Exploration(), SCALE, terms, caution)
        student.learn(situation, (0, 0, 0), 6.0)
        weights.append(student.chain.weights[0].copy())
        student.close()
    np.testing.assert_array_equal(weights[1], weights[2])
    assert weights[0].max() > weights[1].max() > 0.0


def test_a_saved_student_is_its_regression(
    student: Student, situation: Situation, tmp_path: Path
) -> None:
    """The file holds the weights that the chain scores with."""
    teach(student, situation, seed=6, count=20)
    student.save(tmp_path / "model.vw")
    loaded = Regression(RATE / TERMS, tmp_path / "model.vw")
    np.testing.assert_array_equal(loaded.read(EVERYWHERE), student.chain.weights)
    loaded.close()
