"""The best so far is a true policy, and its values are the documented means."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import beta

from policy.best_so_far import PRIOR_INTERACTIONS, WIDENING, BestSoFar, Cell, Tally
from policy.catalog import parse_catalog
from policy.chain import REWARD_MAX
from policy.eligibility import eligibility
from policy.errors import InvalidRewardError
from policy.exploration import Exploration
from policy.extent import Extent
from policy.request import Request
from policy.situation import Path, Situation, Stage
from tests.policy.catalogs import minimal, toml
from tests.policy.conformance import assert_conforms, assert_floor, paths
from tests.policy.situations import situations

FLOOR = 0.05
LOW, HIGH = -2.0, 4.0
rewards = st.floats(LOW, HIGH)
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


def _shrunk(rewarded: list[float], prior: float, weight: float = PRIOR_INTERACTIONS) -> float:
    """The formula, from the rewards themselves."""
    return (sum(rewarded) + weight * prior) / (len(rewarded) + weight)


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
    assert policy.extent.count == len(history)


def test_before_it_has_learned_anything_all_is_worth_the_same() -> None:
    """A new one prefers nothing."""
    for path in [(), (0,), (1, 1)]:
        assert np.ptp(_new().pmf(_shop(), path)) == 0.0


@given(st.lists(st.tuples(st.sampled_from(list(paths(_shop(), 3))), rewards), min_size=1))
def test_values_are_means_shrunk_to_the_coarser_mean(history: list[tuple[Path, float]]) -> None:
    """Offers shrink to the mean of all, channels to their offer, weekdays to their time of day."""
    policy = _new()
    for path, reward in history:
        policy.learn(_shop(), path, reward)
    earned = [reward for _, reward in history]
    low, high = min(earned), max(earned)
    overall = _shrunk(earned, (low + high) / 2 if high > low else low + 0.5, 1.0)
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


@given(st.integers(1, 60), st.integers(1, 60))
def test_errors_are_those_of_the_beta_posterior(good: int, bad: int) -> None:
    """The log odds of an offer have the standard error of their distribution, but wider."""
    policy = _new()
    for reward, times in ((HIGH, good), (LOW, bad)):
        for _ in range(times):
            policy.learn(_shop(), (0, 0, 0), reward)
    scores = policy.scores(_shop(), ())
    share, weight = scores.shares[0], good + bad + PRIOR_INTERACTIONS
    spread = beta(weight * share, weight * (1.0 - share)).std()
    expected = WIDENING * spread / (share * (1.0 - share))
    assert scores.errors[0] == pytest.approx(expected, rel=1e-9)


def test_not_to_send_says_nothing_of_times() -> None:
    """What not sending earned makes no send window better or worse, and is worth its own mean."""
    tables = minimal(no_send={}, send_times={"windows": 3, "step_minutes": 480})
    situation = eligibility(Request(now_ms=0), parse_catalog(toml(tables))).situation
    policy = _new()
    for window in range(3):
        for reward in (LOW, HIGH):
            policy.learn(situation, (0, 0, window), reward)
    for _ in range(100):
        policy.learn(situation, (1, 0, 0), LOW)
    assert np.ptp(policy.values(situation, (0, 0))) == 0.0
    np.testing.assert_array_equal(policy.values(situation, (1, 0)), policy.values(situation, (1,)))


def test_nobody_is_told_apart() -> None:
    """What one subject earned counts for every other."""
    policy = _new()
    for _ in range(50):
        policy.learn(_shop({"plan": "gold"}), (0, 1, 2), LOW)
        policy.learn(_shop({"plan": "gold"}), (1, 1, 2), HIGH)
    np.testing.assert_array_equal(policy.pmf(_shop(), ()), policy.pmf(_shop({"plan": "x"}), ()))
    assert policy.pmf(_shop(), ())[1] > 0.9


def test_a_new_channel_is_as_good_as_its_offer() -> None:
    """What was never sent takes the value of the next coarser cell, not 0."""
    policy = _new()
    for _ in range(300):
        policy.learn(_shop(), (0, 0, 0), HIGH)
        policy.learn(_shop(), (1, 0, 0), LOW)
    offers = policy.values(_shop(), ())
    assert policy.values(_shop(), (0,))[1] == offers[0] > 3.5
    assert policy.values(_shop(), (1,))[1] == offers[1] < -1.5


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(-REWARD_MAX, REWARD_MAX))))
def test_values_stay_between_the_lowest_and_the_highest(history: list[tuple[int, float]]) -> None:
    """Whatever is earned, log odds and pmfs exist."""
    policy, actions = _new(), list(paths(_shop(), 3))
    for number, reward in history:
        policy.learn(_shop(), actions[number % len(actions)], reward)
    assert np.isfinite(policy.scores(_shop(), ())).all()
    assert_conforms(policy, _shop())


@given(histories, st.floats(0.1, 10.0), st.floats(-5.0, 5.0))
def test_the_unit_of_reward_does_not_matter(
    history: list[tuple[int, float]], unit: float, zero: float
) -> None:
    """Rewards in another unit, from another zero, give the same pmfs."""
    plain, other, actions = _new(), _new(), list(paths(_shop(), 3))
    assume(len({reward for _, reward in history}) != 1)
    for number, reward in history:
        path = actions[number % len(actions)]
        plain.learn(_shop(), path, round(reward, 2))
        other.learn(_shop(), path, round(reward, 2) * unit + zero)
    for path in [(), (0,), (1, 0)]:
        np.testing.assert_allclose(
            other.pmf(_shop(), path), plain.pmf(_shop(), path), rtol=1e-4, atol=1e-9
        )


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
    copy = BestSoFar("best_so_far", policy.exploration, policy.extent, policy.tallies)
    assert copy.extent == policy.extent
    for path in [(), (0,), (1,), (1, 0)]:
        np.testing.assert_array_equal(copy.pmf(_shop(), path), policy.pmf(_shop(), path))


def test_what_is_handed_out_is_a_copy() -> None:
    """Nobody changes a policy by what it was made from, or by what it tells."""
    tallies: dict[Cell, Tally] = {("offer=a",): Tally(1, 0.5)}
    extent = Extent(1, 0.5, 0.5, 0.5)
    policy = BestSoFar("best_so_far", Exploration(), extent, tallies)
    policy.learn(_shop(), (0, 0, 0), 1.0)
    policy.extent.add(7.0, 1)
    assert tallies == {("offer=a",): Tally(1, 0.5)}
    assert (extent.count, policy.extent.count) == (1, 2)
    assert policy.tallies["offer=a",] == Tally(2, 0.75)


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), -2 * REWARD_MAX])
def test_a_reward_that_would_spoil_the_means_is_refused(reward: float) -> None:
    """Nothing is learned from a reward that no model could learn."""
    policy = _new()
    with pytest.raises(InvalidRewardError):
        policy.learn(_shop(), (0, 0, 0), reward)
    assert policy.extent.count == 0
    assert not policy.tallies
