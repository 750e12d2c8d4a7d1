"""The best so far is a true policy, and its values are the documented means."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.best_so_far import PRIOR_INTERACTIONS, BestSoFar, Cell, Tally
from policy.catalog import parse_catalog
from policy.eligibility import eligibility
from policy.errors import InvalidRewardError
from policy.exploration import Exploration
from policy.request import Request
from policy.situation import Path, Situation, Stage
from policy.vw import REWARD_MAX
from tests.policy.catalogs import minimal, toml
from tests.policy.conformance import assert_conforms, assert_floor, paths
from tests.policy.situations import situations

FLOOR = 0.05
rewards = st.floats(-100.0, 100.0)
histories = st.lists(st.tuples(st.integers(0, 10**6), rewards), max_size=12)


def _new() -> BestSoFar:
    return BestSoFar("best_so_far", Exploration(floor=FLOOR))


def _shop(features: dict[str, str] | None = None) -> Situation:
    """Two offers on two channels in three windows of eight hours, of which one begins at 00:00."""
    tables = minimal(
        channels={"email": {}, "push": {}},
        offers={name: {"channels": ["email", "push"]} for name in ("a", "b")},
        send_times={"windows": 3, "step_minutes": 480},
    )
    request = Request(now_ms=0, features=features or {})
    return eligibility(request, parse_catalog(toml(tables))).situation


def _shrunk(rewarded: list[float], prior: float) -> float:
    """The formula, from the rewards themselves."""
    return (sum(rewarded) + PRIOR_INTERACTIONS * prior) / (len(rewarded) + PRIOR_INTERACTIONS)


@given(situations(), histories)
def test_it_conforms_whatever_it_has_learned(
    situation: Situation, history: list[tuple[int, float]]
) -> None:
    """Over arbitrary trees and rewards: true pmfs, and the floor at each stage."""
    policy = _new()
    actions = list(paths(situation, len(Stage)))
    for number, reward in history:
        policy.learn(situation, actions[number % len(actions)], reward)
    assert_conforms(policy, situation)
    assert_floor(policy, situation, FLOOR)
    assert policy.interactions == len(history)


def test_before_it_has_learned_anything_all_is_worth_nothing() -> None:
    """A new one prefers nothing."""
    for path in [(), (0,), (1, 1)]:
        assert not _new().values(_shop(), path).any()


@given(st.lists(st.tuples(st.sampled_from(list(paths(_shop(), 3))), rewards), min_size=1))
def test_values_are_means_shrunk_to_the_coarser_mean(history: list[tuple[Path, float]]) -> None:
    """Offers shrink to the mean of all, channels to their offer, weekdays to their time of day."""
    policy = _new()
    for path, reward in history:
        policy.learn(_shop(), path, reward)
    overall = sum(reward for _, reward in history) / len(history)
    for offer, value in enumerate(policy.values(_shop(), ())):
        expected = _shrunk([r for path, r in history if path[0] == offer], overall)
        assert value == pytest.approx(expected, abs=1e-9)
        for channel, finer in enumerate(policy.values(_shop(), (offer,))):
            of_pair = [r for path, r in history if path[:2] == (offer, channel)]
            assert finer == pytest.approx(_shrunk(of_pair, expected), abs=1e-9)
    for window, value in enumerate(policy.values(_shop(), (0, 0))):
        at_time = [r for path, r in history if path[2] == window]
        of_time = _shrunk(at_time, overall)
        assert value == pytest.approx(_shrunk(at_time, of_time), abs=1e-9)


def test_nobody_is_told_apart() -> None:
    """What one subject earned counts for every other."""
    policy = _new()
    for _ in range(50):
        policy.learn(_shop({"plan": "gold"}), (0, 1, 2), 0.0)
        policy.learn(_shop({"plan": "gold"}), (1, 1, 2), 1.0)
    np.testing.assert_array_equal(policy.pmf(_shop(), ()), policy.pmf(_shop({"plan": "x"}), ()))
    assert policy.pmf(_shop(), ())[1] > 0.9


def test_a_new_channel_is_as_good_as_its_offer() -> None:
    """What was never sent takes the value of the next coarser cell, not 0."""
    policy = _new()
    for _ in range(300):
        policy.learn(_shop(), (0, 0, 0), 1.0)
        policy.learn(_shop(), (1, 0, 0), 0.0)
    offers = policy.values(_shop(), ())
    assert policy.values(_shop(), (0,))[1] == offers[0] > 0.9
    assert policy.values(_shop(), (1,))[1] == offers[1] < 0.1


@given(st.lists(rewards, max_size=40))
def test_a_tally_is_count_and_mean(found: list[float]) -> None:
    """Added one by one, rewards give their number and their mean."""
    tally = Tally()
    for reward in found:
        tally = tally.plus(reward)
    assert tally.interactions == len(found)
    assert tally.mean == pytest.approx(np.mean(found) if found else 0.0, abs=1e-9)


@given(histories)
def test_its_tallies_are_all_of_it(history: list[tuple[int, float]]) -> None:
    """Another one made from the same tallies gives the same pmfs, to the last bit."""
    policy, actions = _new(), list(paths(_shop(), 3))
    for number, reward in history:
        policy.learn(_shop(), actions[number % len(actions)], reward)
    copy = BestSoFar("best_so_far", policy.exploration, policy.tallies)
    assert copy.interactions == len(history)
    for path in [(), (0,), (1,), (1, 0)]:
        np.testing.assert_array_equal(copy.pmf(_shop(), path), policy.pmf(_shop(), path))


def test_tallies_that_are_handed_out_are_a_copy() -> None:
    """Nobody changes a policy by what it was made from, or by what it tells."""
    tallies: dict[Cell, Tally] = {(): Tally(1, 0.5)}
    policy = BestSoFar("best_so_far", Exploration(), tallies)
    policy.learn(_shop(), (0, 0, 0), 1.0)
    assert tallies == {(): Tally(1, 0.5)}
    assert dict(policy.tallies)[()] == Tally(2, 0.75)


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), -2 * REWARD_MAX])
def test_a_reward_that_would_spoil_the_means_is_refused(reward: float) -> None:
    """Nothing is learned from a reward that no model could learn."""
    policy = _new()
    with pytest.raises(InvalidRewardError):
        policy.learn(_shop(), (0, 0, 0), reward)
    assert policy.interactions == 0
    assert not policy.tallies
