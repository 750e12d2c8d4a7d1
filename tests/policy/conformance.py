"""What every policy has to do, whatever its kind; run by `test_policies` for each of ours.

A policy of your own is checked by calling `assert_conforms` with it over `situations()`.
"""

from collections.abc import Iterator
from math import fsum

import numpy as np

from policy.choice import action_probability, choose, stage_pmf
from policy.policies import Policy
from policy.situation import Path, Situation, Stage

SUM_TOLERANCE = 1e-9


def paths(situation: Situation, length: int) -> Iterator[Path]:
    """All paths of a length through the tree; of 3 all actions."""
    if length == 0:
        yield ()
        return
    for path in paths(situation, length - 1):
        for index in range(len(situation.names(path))):
            yield (*path, index)


def stages(situation: Situation) -> Iterator[Path]:
    """All paths after which something is chosen."""
    for stage in Stage:
        yield from paths(situation, stage)


def assert_conforms(policy: Policy, situation: Situation) -> None:
    """A policy is pure, gives true pmfs over the eligible actions, and values that fit them."""
    assert policy.version
    for path in stages(situation):
        count = len(situation.names(path))
        assert_is_pmf(policy.pmf(situation, path), count)
        assert_is_pmf(stage_pmf(policy, situation, path), count)
        assert_is_pure(policy, situation, path)
        assert_values_fit(policy, situation, path)
    assert_actions_sum_to_one(policy, situation)
    assert_choices_conform(policy, situation)


def assert_is_pmf(pmf: np.ndarray, count: int) -> None:
    """One finite probability for each eligible action; they sum to 1."""
    assert pmf.shape == (count,)
    assert pmf.dtype == np.float64
    assert np.isfinite(pmf).all()
    assert (pmf >= 0.0).all()
    assert abs(fsum(pmf) - 1.0) <= SUM_TOLERANCE


def assert_is_pure(policy: Policy, situation: Situation, path: Path) -> None:
    """Asking again, and scribbling over an answer, changes no later answer."""
    first = stage_pmf(policy, situation, path)
    kept = first.copy()
    if first.flags.writeable:
        first[:] = -1.0
    np.testing.assert_array_equal(stage_pmf(policy, situation, path), kept)


def assert_values_fit(policy: Policy, situation: Situation, path: Path) -> None:
    """Values are there for every action and finite, or for none."""
    values = policy.values(situation, path)
    if values is not None:
        assert values.shape == (len(situation.names(path)),)
        assert np.isfinite(values).all()


def assert_floor(policy: Policy, situation: Situation, floor: float) -> None:
    """At every stage each eligible action has at least its part of the floor."""
    for path in stages(situation):
        pmf = stage_pmf(policy, situation, path)
        assert pmf.min() >= floor / len(pmf) * (1.0 - SUM_TOLERANCE)


def assert_actions_sum_to_one(policy: Policy, situation: Situation) -> None:
    """The joint probabilities of all eligible actions sum to 1: no other action has any mass."""
    joint = [action_probability(policy, situation, path) for path in paths(situation, len(Stage))]
    assert abs(fsum(joint) - 1.0) <= SUM_TOLERANCE


def assert_choices_conform(policy: Policy, situation: Situation) -> None:
    """Choices are eligible, repeatable, and say their own probability exactly."""
    for entropy in (0, 1, 2**63, 2**64 - 1):
        choice = choose(policy, situation, entropy)
        again = choose(policy, situation, entropy)
        assert choice.path == again.path
        assert choice.probability == again.probability
        assert choice.probability == action_probability(policy, situation, choice.path)
        assert 0.0 < choice.probability <= 1.0 + SUM_TOLERANCE
        offer, channel, window = situation.action(choice.path)
        (node,) = [node for node in situation.tree if node.offer == offer]
        assert dict(node.channels)[channel] >> window & 1
