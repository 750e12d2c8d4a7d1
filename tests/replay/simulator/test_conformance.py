"""The conformance kit finds each broken promise, and nothing in policies that keep them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.policies import Fixed, Policy, Uniform
from policy.situation import Situation
from replay.simulator import ReferenceWorld
from replay.simulator.conformance import (
    CELL_MIN,
    CHECKS,
    _pooled,
    assert_conforms,
    assert_floor,
    frequencies,
    joint,
    paths,
)
from replay.simulator.errors import NonConformingError
from tests.policy.situations import situations
from tests.replay.simulator import broken

SITUATION = ReferenceWorld().situations()[17]
FAULTS: list[tuple[type, str, str]] = [
    (broken.OffByALittle, "pmf", "sums to 1.000000003"),
    (broken.OffByALittle, "eligible", "of the mass"),
    (broken.WrongShape, "pmf", "shape (9,) for 8 actions"),
    (broken.Negative, "pmf", "probabilities from"),
    (broken.Listed, "pmf", "a list in place of an array"),
    (broken.BelowItsFloor, "floor", "an action has 0.05; the floor gives it 0.0625"),
    (broken.Restless, "pure", "another one the second time"),
    (broken.Shared, "pure", "another one the second time"),
    (broken.Restless, "choice", "recomputed it is"),
    (broken.Boundless, "values", "values array"),
    (broken.Nameless, "version", "is ''"),
    (broken.Renamed, "version", "became"),
    (broken.Meddling, "pure", "asking changed the features"),
]


def _situation() -> Situation:
    """One that a policy may spoil."""
    return ReferenceWorld().situations()[17]


@pytest.mark.parametrize(("kind", "check", "problem"), FAULTS)
def test_a_broken_promise_is_found_by_its_check(kind: type, check: str, problem: str) -> None:
    """Each check finds the policy that breaks its promise, and says what is wrong."""
    assert any(problem in found for found in CHECKS[check](kind(), _situation()))


@pytest.mark.parametrize("kind", sorted({kind for kind, _, _ in FAULTS}, key=str))
def test_a_broken_policy_does_not_conform(kind: type) -> None:
    """One broken promise is enough, and the error carries all that was found."""
    with pytest.raises(NonConformingError) as caught:
        assert_conforms(kind(), _situation())
    assert caught.value.problems
    assert caught.value.problems[0] in str(caught.value)


@settings(max_examples=40, deadline=None)
@given(situations())
def test_policies_that_keep_their_promises_conform(situation: Situation) -> None:
    """Over arbitrary trees nothing is found where nothing is wrong."""
    for policy in (Uniform(), Fixed("a", "push"), broken.Sound()):
        assert_conforms(policy, situation)


@settings(max_examples=40, deadline=None)
@given(situations())
def test_the_joint_pmf_is_that_of_all_actions(situation: Situation) -> None:
    """Every action is there once, with the product of its stages' probabilities."""
    policy = broken.Sound()
    found = dict(joint(policy, situation))
    assert list(found) == list(paths(situation, 3))
    for path, probability in found.items():
        stages = [policy.pmf(situation, path[:stage])[path[stage]] for stage in range(3)]
        assert probability == pytest.approx(np.prod(stages), rel=1e-12)


def test_draws_that_do_not_fit_are_found() -> None:
    """A policy that does not do what it says is found by the frequencies of its draws."""
    (problem,) = frequencies(broken.Jumping(), SITUATION)
    assert "do not fit the pmf" in problem


def test_an_action_without_mass_that_is_drawn_is_found() -> None:
    """Once the pmf is asked for and has no such action, what was drawn cannot be right."""

    class Turncoat(Uniform):
        calls = 0

        def pmf(self, situation: Situation, path: tuple[int, ...]) -> np.ndarray:
            self.calls += 1
            pmf = np.zeros(len(situation.names(path)))
            pmf[0 if self.calls > 3 * 2_000 else -1] = 1.0
            return pmf

    problems = list(frequencies(Turncoat(), SITUATION))
    assert "has no mass" in problems[0]


@pytest.mark.parametrize("policy", [Uniform(), broken.Sound(), Fixed("offer_1")])
def test_draws_that_fit_are_not_suspected(policy: Policy) -> None:
    """Fair draws pass, also where most actions are rare or have no mass at all."""
    assert not list(frequencies(policy, SITUATION))


def test_a_floor_may_be_asked_for_from_outside() -> None:
    """A floor that is kept passes, one that is not is told."""
    assert_floor(Uniform(), SITUATION, 1.0)
    with pytest.raises(NonConformingError, match="the floor gives it"):
        assert_floor(Fixed("offer_1"), SITUATION, 0.01)


@given(st.lists(st.tuples(st.floats(1e-6, 50.0), st.integers(0, 50)), max_size=20))
def test_pooled_cells_are_large_enough_for_the_test(cells: list[tuple[float, int]]) -> None:
    """No pooled cell is too rare, and what is left out would be too rare even together."""
    pooled = _pooled(cells)
    assert all(count >= CELL_MIN for count, _ in pooled)
    left = sum(count for count, _ in cells) - sum(count for count, _ in pooled)
    assert left < CELL_MIN + 1e-9
    assert sum(seen for _, seen in pooled) <= sum(seen for _, seen in cells)
