"""What is known of a log's rewards before learning: their ends, their mean, their dispersion."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.catalog import parse_catalog
from policy.chain import REWARD_MAX, Scale
from policy.eligibility import eligibility
from policy.exploration import Exploration
from policy.extent import DISPERSION_MIN, Extent
from policy.learning import Student, terms_of
from policy.request import Request
from tests.policy.catalogs import minimal, toml

finite = st.floats(-REWARD_MAX, REWARD_MAX)


def _scale(rewards: list[float]) -> Scale:
    extent = Extent()
    for reward in rewards:
        extent.add(reward, weights=1)
    return extent.scale


@given(st.lists(finite, min_size=1, max_size=30))
def test_a_scale_is_usable_whatever_the_rewards(rewards: list[float]) -> None:
    """Its ends are those of the rewards, its dispersion is within bounds, its start is finite."""
    scale = _scale(rewards)
    assert scale.low == min(rewards)
    assert scale.high == max(rewards) or len(set(rewards)) == 1
    assert scale.low < scale.high
    assert DISPERSION_MIN <= scale.dispersion <= 1.0
    assert math.isfinite(scale.start)


@given(st.integers(0, 500), st.integers(0, 500))
def test_learning_begins_at_the_mean(good: int, bad: int) -> None:
    """The start is the log odds of the share of the highest reward, with half a reward of each."""
    scale = _scale([4.0] * good + [-2.0] * bad + [4.0, -2.0])
    share = (good + 1 + 0.5) / (good + bad + 3)
    assert scale.start == pytest.approx(math.log(share / (1.0 - share)), abs=1e-9)


@pytest.mark.parametrize("reward", [0.0, -3.0, REWARD_MAX])
def test_equal_rewards_are_where_learning_begins(reward: float) -> None:
    """They are the lowest: the more there were, the nearer to it is what was never tried."""
    few, many = _scale([reward] * 10), _scale([reward] * 1000)
    assert many.start < few.start < 0.0


def test_a_log_without_a_single_reward_makes_nothing_attractive() -> None:
    """Where everybody got nothing, what was tried least is not what is preferred."""
    tables = minimal(
        channels={"email": {}}, offers={name: {"channels": ["email"]} for name in "ab"}
    )
    request = Request(now_ms=0, features={"plan": "gold"})
    situation = eligibility(request, parse_catalog(toml(tables))).situation
    extent, log = Extent(), [(0, 0, 0)] * 900 + [(1, 0, 0)] * 90
    for path in log:
        extent.add(0.0, terms_of(situation, path))
    student = Student(Exploration(), extent.scale, extent.terms)
    try:
        for path in log:
            student.learn(situation, path, 0.0)
        pmf = student.chain.pmf(situation, ())
    finally:
        student.close()
    assert pmf.min() > 0.2
