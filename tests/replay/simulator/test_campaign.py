"""The campaign world changes as it says, and its truth is what its outcomes come to."""

from collections.abc import Iterator

import numpy as np
import pytest

from policy.eligibility import is_no_send
from policy.situation import Situation
from replay.simulator import CampaignWorld, Encounter, Oracle, make_learner, simulate
from replay.simulator.campaign import DAYS, DELAY_ROUNDS, NEW_OFFERS_DAY, UNDELIVERED
from replay.simulator.errors import OutOfRangeError
from replay.simulator.learners import LEARNERS, AsLearner
from replay.simulator.reference import Context, context_of
from tests.policy.conformance import assert_conforms, paths

BEFORE = (0, NEW_OFFERS_DAY - 1)
AFTER = (NEW_OFFERS_DAY, DAYS, DAYS + 5)


def _first_of_day(world: CampaignWorld, day: int) -> Encounter:
    *_, last = world.encounters(day * world.day_rounds + 1)
    return last


def _luck(situation: Situation, truth: np.ndarray, count: int) -> Iterator[Encounter]:
    return (Encounter(situation, truth, entropy) for entropy in range(count))


@pytest.mark.parametrize("day", [*BEFORE, *AFTER])
def test_truth_is_there_for_eligible_paths_and_for_no_others(day: int) -> None:
    """The expected rewards lie exactly where the tree has actions; not to send is worth 0."""
    encounter = _first_of_day(CampaignWorld(day_rounds=3), day)
    there = np.zeros(encounter.truth.shape, dtype=bool)
    for path in paths(encounter.situation, 3):
        there[path] = True
        if is_no_send(encounter.situation.tree, path[0]):
            assert encounter.truth[path] == 0.0
    np.testing.assert_array_equal(np.isfinite(encounter.truth), there)


def test_new_offers_come_half_way() -> None:
    """Six offers and no send at first; all eight from the middle on."""
    world = CampaignWorld(day_rounds=3)
    for day in BEFORE:
        assert len(_first_of_day(world, day).situation.tree) == 7
    for day in AFTER:
        names = _first_of_day(world, day).situation.names(())
        assert names == (*(f"offer_{index}" for index in range(8)), "no_send")


def test_tastes_drift_day_by_day_and_stop_at_the_end() -> None:
    """What a context is worth stays through a day, differs from day to day, and settles."""
    world = CampaignWorld(day_rounds=200)
    by_day: dict[int, dict[Context, np.ndarray]] = {}
    for turn, encounter in enumerate(world.encounters(200 * (DAYS + 3))):
        context = context_of(encounter.situation)
        seen = by_day.setdefault(turn // 200, {}).setdefault(context, encounter.truth)
        np.testing.assert_array_equal(seen, encounter.truth)
    for day in range(DAYS + 2):
        both = set(by_day[day]) & set(by_day[day + 1])
        assert both
        for context in both:
            now, then = (by_day[one][context][:6] for one in (day, day + 1))
            assert (now == then).all() == (day >= DAYS)


@pytest.mark.parametrize("path", [(0, 0, 0), (3, 1, 5), (5, 2, 2)])
def test_outcomes_come_to_the_truth(path: tuple[int, int, int]) -> None:
    """The mean of many outcomes, undelivered ones included, agrees with the expected reward."""
    world = CampaignWorld(0.0, 4)
    encounter = _first_of_day(world, 0)
    outcomes = [
        world.outcome(each, path) for each in _luck(encounter.situation, encounter.truth, 20_000)
    ]
    rewards = np.asarray([outcome.reward for outcome in outcomes])
    error = rewards.std() / len(rewards) ** 0.5
    assert abs(rewards.mean() - encounter.truth[path]) < 5 * error
    assert {-2.0, 0.0, 1.0, 4.0} <= set(rewards) <= {-2.0, -1.0, 0.0, 1.0, 2.0, 4.0}
    lost = np.mean([not outcome.delivered for outcome in outcomes])
    assert abs(lost - UNDELIVERED[path[1]]) < 0.01
    assert all(outcome.reward == 0.0 for outcome in outcomes if not outcome.delivered)
    assert {outcome.delay_rounds for outcome in outcomes if outcome.delivered} == {DELAY_ROUNDS}


def test_nothing_comes_of_not_sending() -> None:
    """No send is always carried out, and never earns or costs anything."""
    world = CampaignWorld(0.0, 4)
    encounter = _first_of_day(world, 0)
    for each in _luck(encounter.situation, encounter.truth, 200):
        outcome = world.outcome(each, (6, 0, 0))
        assert (outcome.reward, outcome.delivered) == (0.0, True)


def test_where_clicks_are_rare_not_sending_is_best() -> None:
    """If nobody ever clicks, unsubscriptions make every message a loss, and the oracle knows."""
    world = CampaignWorld(-20.0, 0, day_rounds=10)
    oracle = simulate(world, AsLearner(Oracle(world.truth)), 300)
    assert oracle.captured == 1.0
    assert oracle.reward == 0.0
    assert oracle.undelivered == 0


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_every_learner_lives_through_the_whole_campaign(name: str) -> None:
    """With all changes within few rounds, each learner stays a true policy, and repeats."""
    world = CampaignWorld(-1.0, 2, day_rounds=20)
    curves = []
    for _ in range(2):
        learner = make_learner(name)
        curves.append(simulate(world, learner, 20 * (DAYS + 1)).curve)
        assert_conforms(learner, _first_of_day(world, DAYS).situation)
        learner.close()
    assert curves[0] == curves[1]


def test_the_chain_learns_in_spite_of_it_all() -> None:
    """With all that is late, lost, negative or new, the chain is still far ahead of chance."""
    learner = make_learner("chain")
    result = simulate(CampaignWorld(-1.0, 0, day_rounds=150), learner, 3000)
    learner.close()
    assert result.captured > 0.2
    assert result.undelivered > 0


def test_a_day_without_rounds_is_refused() -> None:
    """Days must have rounds, and the seeds their range."""
    for settings in ({"day_rounds": 0}, {"seed": -1}, {"base": float("inf")}):
        with pytest.raises(OutOfRangeError):
            CampaignWorld(**settings)
