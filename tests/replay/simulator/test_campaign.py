"""The campaign world changes as it says, and its truth is what its outcomes come to."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from scipy.special import logit

from decisionlog import LoggedDecision, Reward
from policy.eligibility import is_no_send
from policy.situation import Situation
from replay.join import reward_of
from replay.simulator import CampaignWorld, Encounter, Oracle, Outcome, make_learner, simulate
from replay.simulator.campaign import (
    DAYS,
    DELAY_ROUNDS,
    NEW_OFFERS_DAY,
    RESEMBLANCE,
    THEMES,
    UNDELIVERED,
)
from replay.simulator.errors import OutOfRangeError
from replay.simulator.learners import LEARNERS, AsLearner
from replay.simulator.reference import Context, context_of
from tests.decisionlog.samples import DECISION
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


def test_events_are_worth_the_reward() -> None:
    """What a server would count for the reported events is what the world says they are worth."""
    world = CampaignWorld(0.0, 4, day_rounds=1000)
    encounter = _first_of_day(world, 0)
    seen = Counter[str]()
    for each in _luck(encounter.situation, encounter.truth, 3000):
        outcome = world.outcome(each, (3, 1, 5))
        seen.update(event.name for event in outcome.events)
        assert outcome.reward == reward_of(_logged(outcome, world), world.catalog.reward)
    assert set(seen) == set(world.catalog.reward.weights)


def _logged(outcome: Outcome, world: CampaignWorld) -> LoggedDecision:
    """The events as the log has them, a round a thousandth of a day."""
    at_ms, round_ms = DECISION.decided_at_ms, 86_400_000 // world.day_rounds
    rewards = tuple(
        Reward(DECISION.decision_id, str(number), event.name, event.value, moment, moment)
        for number, event in enumerate(outcome.events)
        for moment in [at_ms + event.delay_rounds * round_ms]
    )
    return LoggedDecision(DECISION, (), rewards)


def test_events_come_late_and_within_the_attribution_window() -> None:
    """Each reward has its own delay; an order never comes before its click."""
    world = CampaignWorld(0.0, 4)
    encounter = _first_of_day(world, 0)
    delays: dict[str, set[int]] = {}
    for each in _luck(encounter.situation, encounter.truth, 3000):
        late = {one.name: one.delay_rounds for one in world.outcome(each, (3, 1, 5)).events}
        for name, delay in late.items():
            delays.setdefault(name, set()).add(delay)
        if "order" in late:
            assert late["order"] >= late["click"]
    assert all(0 <= min(each) < max(each) < DELAY_ROUNDS for each in delays.values())
    assert len({max(each) for each in delays.values()}) == 3


def test_offers_of_a_theme_resemble_each_other() -> None:
    """Over many worlds, effects correlate within themes as stated, and not at all beyond."""
    worlds = [CampaignWorld(0.0, seed, day_rounds=1) for seed in range(120)]
    tastes = np.asarray([_tastes(world) for world in worlds])  # worlds × segments, offers
    found = np.corrcoef(tastes.reshape(-1, 8).T)
    for offer in range(8):
        for other in range(offer):
            expected = RESEMBLANCE if offer % THEMES == other % THEMES else 0.0
            assert abs(found[offer, other] - expected) < 0.12
    # As large as in the reference world: 0.9² of taste, 0.4² / 3 of taste by channel.
    assert tastes.std() == pytest.approx((0.9**2 + 0.4**2 / 3) ** 0.5, rel=0.1)


def _tastes(world: CampaignWorld) -> np.ndarray:
    """What tells segments apart in each offer, shape (segments, offers), as logits of day 0."""
    logits = np.asarray(logit(world._day(0).clicks).mean(axis=(1, 2, 4, 5)))
    return np.asarray((logits - logits.mean(axis=0)) * (6 / 5) ** 0.5)


def test_features_tell_the_theme() -> None:
    """Every offer says its theme, and each new offer has older ones of the same."""
    offers = CampaignWorld().catalog.offers
    themes = {name: offer.features["theme"] for name, offer in offers.items()}
    assert set(themes.values()) == {"theme_0", "theme_1", "theme_2"}
    old = {themes[f"offer_{index}"] for index in range(6)}
    assert {themes["offer_6"], themes["offer_7"]} <= old


def test_the_situations_are_those_of_all_days() -> None:
    """Each day's contexts are there once, with the truth of that day."""
    world = CampaignWorld(0.0, 3)
    found = world.situations()
    assert len(found) == DAYS * 120
    assert len({one.grid.start_ms for one in found}) == DAYS
    assert len(found[0].tree) == 7
    assert len(found[-1].tree) == 9
    encounter = _first_of_day(world, 4)
    assert any(one is encounter.situation for one in found)


def test_nothing_comes_of_not_sending() -> None:
    """No send is always carried out, and never earns or costs anything."""
    world = CampaignWorld(0.0, 4)
    encounter = _first_of_day(world, 0)
    for each in _luck(encounter.situation, encounter.truth, 200):
        outcome = world.outcome(each, (6, 0, 0))
        assert (outcome.reward, outcome.delivered, outcome.events) == (0.0, True, ())


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
