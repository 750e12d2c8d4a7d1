"""Exact values agree with brute force, and the ends of the scale are where they belong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.choice import choose
from policy.policies import Fixed, Policy, Uniform
from replay.simulator import (
    CampaignWorld,
    Oracle,
    ReferenceWorld,
    best_value,
    captured,
    make_learner,
    mean_value,
    policy_value,
)
from tests.policy.conformance import assert_conforms
from tests.replay.simulator.broken import Sound
from tests.replay.simulator.worlds import Leaning, joint_pmf

WORLD = ReferenceWorld(-3.2, 1)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 100))
def test_the_value_of_a_policy_is_the_sum_over_contexts_and_actions(seed: int) -> None:
    """Walking the tree gives what multiplying whole tables gives, for arbitrary policies."""
    policy = Leaning(seed)
    products = [(joint_pmf(policy, one) * WORLD.truth(one)).sum() for one in WORLD.situations()]
    assert policy_value(WORLD, policy) == pytest.approx(np.mean(products), rel=1e-12)


def test_the_oracle_captures_everything() -> None:
    """The oracle's value is that of the best actions, exactly."""
    oracle = Oracle(WORLD.truth)
    best = np.mean([WORLD.truth(one).max() for one in WORLD.situations()])
    assert best_value(WORLD) == pytest.approx(best, rel=1e-12)
    assert policy_value(WORLD, oracle) == best_value(WORLD)
    assert captured(policy_value(WORLD, oracle), mean_value(WORLD), best_value(WORLD)) == 1.0


def test_uniform_captures_nothing() -> None:
    """The uniform policy's value is the mean over all actions."""
    everything = np.mean([WORLD.truth(one) for one in WORLD.situations()])
    assert mean_value(WORLD) == pytest.approx(everything, rel=1e-12)
    assert policy_value(WORLD, Uniform()) == pytest.approx(mean_value(WORLD), rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 7), st.integers(0, 2) | st.none())
def test_no_rule_is_better_than_the_best(offer: int, channel: int | None) -> None:
    """A rule that knows no context stays between 0 and the optimum, and is worth its mean."""
    name = None if channel is None else f"channel_{channel}"
    truth = np.mean([WORLD.truth(one) for one in WORLD.situations()], axis=0)[offer]
    value = policy_value(WORLD, Fixed(f"offer_{offer}", name))
    assert value == pytest.approx((truth if channel is None else truth[channel]).mean(), rel=1e-12)
    assert 0.0 < value < best_value(WORLD)


def test_a_longer_trained_chain_is_worth_more() -> None:
    """The exact value of the chain's policy grows with what it has learned, without any luck."""
    world = ReferenceWorld(-2.0, 0)
    learner = make_learner("chain")
    values = [policy_value(world, learner)]
    for encounter in world.encounters(1500):
        path = (encounter.entropy % 8, encounter.entropy // 8 % 3, encounter.entropy // 24 % 6)
        learner.learn(encounter.situation, path, world.outcome(encounter, path).reward)
    values.append(policy_value(world, learner))
    learner.close()
    assert values[0] == pytest.approx(mean_value(world), rel=1e-9)
    assert captured(values[1], mean_value(world), best_value(world)) > 0.2


@pytest.mark.parametrize("world", [ReferenceWorld(-1.0, 1), CampaignWorld(-1.0, 1, day_rounds=500)])
@pytest.mark.parametrize("policy", [Sound(), Uniform(), Fixed("offer_2", "channel_1")])
def test_a_simulation_converges_to_the_exact_value(
    world: ReferenceWorld | CampaignWorld, policy: Policy
) -> None:
    """The mean reward of 10,000 rounds lies within its error of the value by the formula."""
    rewards = [
        world.outcome(each, choose(policy, each.situation, each.entropy).path).reward
        for each in world.encounters(10_000)
    ]
    error = np.std(rewards) / len(rewards) ** 0.5
    assert abs(np.mean(rewards) - policy_value(world, policy)) < 4 * error
    assert policy_value(world, Oracle(world.truth)) - np.mean(rewards) > 8 * error


def test_the_oracle_conforms() -> None:
    """The oracle is a policy like any other, and its values are those of the best that follows."""
    for situation in WORLD.situations()[::30]:
        oracle = Oracle(WORLD.truth)
        assert_conforms(oracle, situation)
        truth = WORLD.truth(situation)
        np.testing.assert_array_equal(oracle.values(situation, ()), truth.max(axis=(1, 2)))
        np.testing.assert_array_equal(oracle.values(situation, (3,)), truth[3].max(axis=1))
        np.testing.assert_array_equal(oracle.values(situation, (3, 1)), truth[3, 1])


@given(st.floats(-1.0, 2.0), st.floats(0.1, 10.0), st.floats(-5.0, 5.0), st.floats(-5.0, 5.0))
def test_captured_does_not_depend_on_the_unit_of_reward(
    share: float, unit: float, shift: float, mean: float
) -> None:
    """Another unit or another zero of the reward changes no captured share."""
    best = mean + 1.0
    value = mean + share
    assert captured(value, mean, best) == pytest.approx(share, abs=1e-9)
    moved = [unit * each + shift for each in (value, mean, best)]
    assert captured(*moved) == pytest.approx(share, abs=1e-9)
