"""Choices: a walk through the eligible tree that anyone can recompute."""

from collections import Counter
from datetime import datetime
from math import prod
from typing import get_args
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from policy.catalog import parse_catalog
from policy.choice import action_probability, choose, stage_pmf
from policy.draw import pick, uniform
from policy.eligibility import eligibility
from policy.exploration import Exploration, Name
from policy.learning import Student
from policy.policies import Fixed, FloatArray, Policy, Uniform
from policy.request import Request
from policy.situation import Path, Situation, Stage
from tests.policy.catalogs import minimal, toml
from tests.policy.conformance import paths
from tests.policy.models import taught
from tests.policy.situations import situations

LIKELY = 1e-4
entropies = st.integers(0, 2**64 - 1)


class Lopsided:
    """A policy with a pmf of its own at every stage, and now and then no mass at all."""

    version = "lopsided"

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """Later actions are likelier; every third one has no mass."""
        weights = np.arange(1.0, len(situation.names(path)) + 1.0)
        weights[1::3] = 0.0
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    def values(self, situation: Situation, path: Path) -> None:
        """Estimates nothing."""


class ByStage:
    """A policy that is asked for one stage after the other."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.version = policy.version

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """The policy's own."""
        return self._policy.pmf(situation, path)

    def values(self, situation: Situation, path: Path) -> FloatArray | None:
        """The policy's own."""
        return self._policy.values(situation, path)


def small() -> Situation:
    """A situation with 2 + 1 + 1 channels and up to three windows each: 10 actions."""
    tables = minimal(
        channels={"email": {}, "push": {}},
        offers={
            "a": {"channels": ["email", "push"]},
            "b": {"channels": ["push"]},
        },
        no_send={},
        send_times={"windows": 3},
    )
    return eligibility(Request(now_ms=0), parse_catalog(toml(tables))).situation


@given(situations(), entropies)
def test_each_stage_is_drawn_from_its_pmf_with_its_own_number(
    situation: Situation, entropy: int
) -> None:
    """A choice is what pmf, keyed draw and pick give stage by stage, and nothing else."""
    choice = choose(Lopsided(), situation, entropy)
    for stage, made in zip(Stage, choice.stages, strict=True):
        pmf = stage_pmf(Lopsided(), situation, choice.path[:stage])
        np.testing.assert_array_equal(made.pmf, pmf)
        assert made.chosen == pick(pmf, uniform(entropy, stage.label))
        assert made.probability == pmf[made.chosen] > 0.0


@given(situations(), entropies)
def test_the_action_probability_is_the_product_of_the_stages(
    situation: Situation, entropy: int
) -> None:
    """Recomputed from the path alone it is the same, to the last bit."""
    choice = choose(Lopsided(), situation, entropy)
    product = prod(stage.probability for stage in choice.stages)
    assert choice.probability == product
    assert choice.probability == action_probability(Lopsided(), situation, choice.path)


@pytest.mark.parametrize("policy", [Uniform(), Lopsided(), Fixed("a"), Fixed("a", "push")])
def test_the_frequencies_of_choices_match_their_probabilities(
    policy: Uniform | Lopsided | Fixed,
) -> None:
    """Over 10,000 entropies whole actions agree with their joint probability by chi-square."""
    situation = small()
    counts = Counter(choose(policy, situation, entropy).path for entropy in range(10_000))
    expected = {
        path: 10_000 * action_probability(policy, situation, path)
        for path in paths(situation, len(Stage))
    }
    possible = [path for path, count in expected.items() if count]
    assert set(counts) <= set(possible)
    if len(possible) > 1:
        observed = [counts[path] for path in possible]
        assert chisquare(observed, [expected[path] for path in possible]).pvalue > LIKELY


@given(situations(), entropies, st.integers(0, 2**32 - 1), st.sampled_from(get_args(Name)))
def test_all_stages_at_once_are_each_stage_by_itself(
    situation: Situation, entropy: int, seed: int, name: Name
) -> None:
    """A chain's walk gives the pmfs and draws that it gives stage by stage, to the last bit."""
    with taught(situation, seed, Exploration(name=name)) as student:
        chain = student.chain
        by_stage = choose(ByStage(chain), situation, entropy)
        at_once = choose(chain, situation, entropy)
        assert at_once.path == by_stage.path
        for one, other in zip(at_once.stages, by_stage.stages, strict=True):
            np.testing.assert_array_equal(one.pmf, other.pmf)
        for path in paths(situation, len(Stage)):
            probability = action_probability(chain, situation, path)
            assert probability == action_probability(ByStage(chain), situation, path)


@pytest.mark.parametrize("path", [(-1, 0, 0), (3, 0, 0), (0, 2, 0), (0, 0, 3), (2, 1, 0)])
def test_a_path_that_leaves_the_tree_is_refused(path: Path) -> None:
    """A damaged record may name any action: no memory is read that is not the tree's."""
    student = Student(Exploration())
    with pytest.raises(IndexError):
        action_probability(student.chain, small(), path)
    student.close()


def test_where_there_is_one_action_nobody_is_asked() -> None:
    """A stage with one eligible action has probability 1, even under a broken policy."""

    class Broken(Uniform):
        def pmf(self, situation: Situation, path: Path) -> FloatArray:
            raise AssertionError((situation, path))

    situation = eligibility(Request(now_ms=0), parse_catalog(toml(minimal()))).situation
    choice = choose(Broken(), situation, 1)
    assert (choice.path, choice.probability) == ((0, 0, 0), 1.0)


def test_the_certain_pmf_cannot_be_changed() -> None:
    """The pmf that all single actions share stays what it is."""
    situation = eligibility(Request(now_ms=0), parse_catalog(toml(minimal()))).situation
    with pytest.raises(ValueError, match="read-only"):
        stage_pmf(Uniform(), situation, ())[0] = 0.5


def test_an_hour_that_happens_twice_has_two_windows_to_choose_from() -> None:
    """When clocks go back, both windows of the repeated hour are scored, drawn and reached."""
    tables = minimal(send_times={"windows": 4, "time_zone": "Europe/Berlin"})
    start = datetime(2026, 10, 25, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    request = Request(now_ms=int(start.timestamp()) * 1000)
    situation = eligibility(request, parse_catalog(toml(tables))).situation
    student = Student(Exploration())
    windows = {choose(student.chain, situation, entropy).path[2] for entropy in range(200)}
    assert windows == {0, 1, 2, 3}
    student.close()
