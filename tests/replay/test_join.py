"""The join: what becomes an interaction, with which reward, and why all else does not."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decisionlog import Decision, Delivery, DeliveryStatus, LoggedDecision, Reward, Tombstone
from decisionlog.tables import Table
from decisionlog.tombstones import encode_tombstone
from policy.catalog import Reward as RewardRule
from policy.situation import Stage
from replay.join import (
    CLOCK_TOLERANCE_MS,
    Fate,
    Left,
    fate,
    has_support,
    is_early,
    reward_of,
)
from tests.decisionlog.samples import DECISION
from tests.replay.history import LATER_MS, History, history, offer_of
from tests.shop import CATALOG, DAY_MS, START_MS, TRAFFIC

SENT, FAILED = DeliveryStatus.SENT, DeliveryStatus.FAILED
ID = DECISION.decision_id
DECIDED_MS = DECISION.decided_at_ms


def report(status: DeliveryStatus, at_ms: int, received_ms: int = 0) -> Delivery:
    """A report on a delivery, `at_ms` after the decision."""
    return Delivery(ID, f"{status}-{at_ms}", status, DECIDED_MS + at_ms, received_ms)


def earned(value: float, after_ms: int, name: str = "visit", received_ms: int = 0) -> Reward:
    """A reward, `after_ms` after the decision."""
    return Reward(ID, f"{name}-{after_ms}", name, value, DECIDED_MS + after_ms, received_ms)


def fate_of(*deliveries: Delivery, decision: Decision = DECISION) -> Fate:
    """What became of a decision with these reports."""
    return fate(LoggedDecision(decision, deliveries, ()))


def rule(**settings_: object) -> RewardRule:
    """A rule for rewards: visits count 1, spend a tenth."""
    weights = {"visit": 1.0, "spend": 0.1}
    return RewardRule.model_validate({"weights": weights, **settings_})


def worth(*rewards: Reward, **settings_: object) -> float:
    """The reward of a decision with these rewards under a rule."""
    return reward_of(LoggedDecision(DECISION, (), rewards), rule(**settings_))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (DeliveryStatus.SENT, Fate.DELIVERED),
        (DeliveryStatus.FAILED, Fate.FAILED),
        (DeliveryStatus.SUPPRESSED, Fate.SUPPRESSED),
        (DeliveryStatus.OVERRIDDEN, Fate.OVERRIDDEN),
    ],
)
def test_a_report_decides_the_fate(status: DeliveryStatus, expected: Fate) -> None:
    """Each status has its fate; without any the decision is pending."""
    assert fate_of(report(status, 5)) is expected
    assert fate_of() is Fate.PENDING


def test_the_report_that_occurred_last_is_in_force() -> None:
    """However the reports came in; of the same moment the one that came last."""
    assert fate_of(report(SENT, 9), report(FAILED, 5)) is Fate.DELIVERED
    assert fate_of(report(FAILED, 9), report(SENT, 5)) is Fate.FAILED
    assert fate_of(report(SENT, 5, 1), report(FAILED, 5, 2)) is Fate.FAILED


def test_not_to_send_needs_no_report(past: History) -> None:
    """Nothing has to be carried out; but a report that something else was sent counts."""
    decision = past.decide(eligible_offers=("no_send",))
    assert fate_of(decision=decision) is Fate.DELIVERED
    nothing = past.decide(eligible_offers=("past",))
    assert nothing.stages == ()
    assert fate_of(decision=nothing) is Fate.DELIVERED
    overridden = report(DeliveryStatus.OVERRIDDEN, 5)
    assert fate_of(overridden, decision=decision) is Fate.OVERRIDDEN


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [("sum", 6.0), ("first", 3.0), ("last", 2.0), ("max", 3.0), ("min", 1.0)],
)
def test_several_rewards_of_a_name_are_aggregated(aggregation: str, expected: float) -> None:
    """In the order in which they happened, not in which they came."""
    rewards = (earned(2.0, 30), earned(3.0, 10), earned(1.0, 20))
    assert worth(*rewards, aggregation=aggregation) == expected


def test_rewards_of_the_same_moment_go_by_their_receipt() -> None:
    """First and last are told apart by when they were received."""
    rewards = (earned(2.0, 10, received_ms=2), earned(1.0, 10, received_ms=1))
    assert worth(*rewards, aggregation="first") == 1.0
    assert worth(*rewards, aggregation="last") == 2.0


def test_names_are_weighted_and_summed() -> None:
    """Each name is aggregated on its own; a name without weight does not count."""
    rewards = (earned(1.0, 10), earned(40.0, 20, "spend"), earned(7.0, 30, "unsubscribe"))
    assert worth(*rewards) == 1.0 + 0.1 * 40.0
    assert worth(*rewards, aggregation="max", weights={"visit": 1.0, "unsubscribe": -2.0}) == -13.0


def test_the_default_stands_for_no_reward_that_counts() -> None:
    """Also if there are some that do not count; not if one of several names is missing."""
    assert worth(default=-0.5) == -0.5
    assert worth(earned(9.0, 10, "open"), default=-0.5) == -0.5
    assert worth(earned(1.0, 10), default=-0.5) == 1.0


def test_the_attribution_window_has_an_end() -> None:
    """A reward in its last millisecond counts, one after it is late."""
    end_ms = 14 * DAY_MS
    assert worth(earned(1.0, end_ms)) == 1.0
    assert worth(earned(1.0, end_ms + 1)) == 0.0
    assert worth(earned(1.0, end_ms + 1), attribution_days=15.0) == 1.0


@settings(deadline=None)
@given(values=st.lists(st.floats(-100, 100), min_size=1, max_size=6), weight=st.floats(-3, 3))
def test_aggregations_agree_with_their_names(values: list[float], weight: float) -> None:
    """Smallest, largest and sum are those of the values, in any order, times the weight."""
    rewards = [earned(value, place) for place, value in enumerate(values)]
    expected = {"sum": sum(values), "max": max(values), "min": min(values)}
    for how, value in expected.items():
        found = worth(*reversed(rewards), aggregation=how, weights={"visit": weight})
        assert found == pytest.approx(weight * value, abs=1e-9)


def read(past: History, as_of_ms: int = LATER_MS) -> tuple[list[Decision], Counter[Left]]:
    """The decisions that are interactions, and the count of the others."""
    source = past.source(as_of_ms)
    return [one.decision for one in source.interactions()], source.left


def test_only_delivered_decisions_are_interactions(past: History) -> None:
    """All others are counted by why they are none."""
    sent, failed, suppressed, overridden, pending = (
        past.decide(eligible_offers=("loyal",)) for _ in range(5)
    )
    past.deliver(sent)
    past.deliver(failed, FAILED)
    past.deliver(suppressed, DeliveryStatus.SUPPRESSED)
    past.deliver(overridden, DeliveryStatus.OVERRIDDEN)
    past.reward(pending)
    past.decide(eligible_offers=("past",))
    kept = past.decide(eligible_offers=("no_send",))
    assert read(past) == (
        [sent, kept],
        Counter({Left.NOT_DELIVERED: 3, Left.PENDING: 1, Left.NO_CHOICE: 1}),
    )


def test_immature_decisions_wait(past: History) -> None:
    """Until the millisecond in which their attribution window closes."""
    decision = past.decide()
    past.deliver(decision)
    closes_ms = decision.decided_at_ms + 14 * DAY_MS
    assert read(past, closes_ms - 1) == ([], Counter({Left.IMMATURE: 1}))
    assert read(past, closes_ms) == ([decision], Counter())


@pytest.mark.parametrize("table", [Table.DECISIONS, Table.DELIVERIES, Table.REWARDS])
def test_damaged_decisions_are_left_out(past: History, table: Table) -> None:
    """One on which any record cannot be read is counted once, in each reading; no other is lost."""
    decisions = [past.decide() for _ in range(4)]
    for decision in decisions:
        past.deliver(decision)
        past.reward(decision)
        past.reward(decision)
    past.damage(table, decisions[1].decision_id)
    source, kept = past.source(), [decisions[place] for place in (0, 2, 3)]
    for _ in range(2):
        assert [one.decision for one in source.interactions()] == kept
        assert source.left == Counter({Left.DAMAGED: 1})
    assert source.damaged == {decisions[1].decision_id}


def test_subjects_being_erased_are_left_out(past: History) -> None:
    """From when it is asked for, though the records are still there; who starts afresh is in."""
    decisions = [past.decide(subject) for subject in ("alice", "bob")]
    through = decisions[1].decision_id
    tombstone = Tombstone(decisions[0].subject, past.clock.now_ms, through)
    with past.log._store.write() as transaction:
        transaction.put(Table.TOMBSTONES, tombstone.subject, encode_tombstone(tombstone))
    past.clock.now_ms += 1000
    decisions.append(past.decide("alice"))
    for decision in decisions:
        past.deliver(decision)
    assert read(past) == (decisions[1:], Counter())


def test_an_interaction_has_the_situation_of_its_choice(past: History) -> None:
    """Catalog, features, tree and windows are those of the decision; the path is the choice."""
    decision = past.decide(features={"plan": "gold"}, offer_features={"loyal": {"fit": 0.5}})
    past.deliver(decision)
    past.reward(decision, 2.0)
    past.reward(decision, 30.0, name="spend")
    (found,) = past.source().interactions()
    assert found.reward == 2.0 + 0.1 * 30.0
    assert found.situation.catalog.version == decision.catalog_version
    assert found.situation.features == {"plan": "gold"}
    assert found.situation.offer_features == {"loyal": {"fit": 0.5}}
    assert found.situation.tree == decision.tree
    assert found.situation.action(found.path)[0] == offer_of(decision)
    assert len(found.path) == len(Stage)


def test_the_holdout_is_left_out(tmp_path: Path) -> None:
    """It gets nothing whatever the policies say."""
    with history(tmp_path / "data", CATALOG + TRAFFIC) as past:
        decisions = [past.decide() for _ in range(100)]
        for decision in decisions:
            past.deliver(decision)
        found, left = read(past)
    answered = [one for one in decisions if one.policy_version != "holdout"]
    assert found == answered
    assert left == {Left.HOLDOUT: 100 - len(answered)}
    assert {one.policy_version for one in answered} > {"uniform"}


def test_support_is_judged_by_what_was_logged(tmp_path: Path) -> None:
    """A rule gives all others no chance, in whatever arm; where it cannot be followed, it draws."""
    with history(tmp_path / "data", CATALOG) as past:
        past.promote("fixed/spring")
        fixed = past.decide(eligible_offers=("spring", "loyal"))
        free = past.decide(eligible_offers=("loyal", "no_send"))
        past.promote("uniform")
        drawn = past.decide()
    assert [has_support(one) for one in (fixed, free, drawn)] == [False, True, True]


def test_rewards_from_before_the_decision_do_not_count(past: History) -> None:
    """What happened earlier was not caused by it; an hour is left for clocks."""
    decision = past.decide()
    past.deliver(decision)
    past.reward(decision, after_ms=-CLOCK_TOLERANCE_MS - 1000, reward_id="early")
    past.reward(decision, after_ms=-CLOCK_TOLERANCE_MS + 1000, reward_id="skewed")
    (entry,) = past.log.scan()
    early = {one.reward_id for one in entry.rewards if is_early(one, entry.decision)}
    assert early == {"early"}


def test_reading_again_gives_the_same(past: History) -> None:
    """The counts begin anew, and the interactions are equal and in the order of the log."""
    for _ in range(20):
        decision = past.decide()
        past.deliver(decision, SENT if past.clock.now_ms % 2 else FAILED)
        past.clock.now_ms += 1
    source = past.source()
    first, left = list(source.interactions()), Counter(source.left)
    assert list(source.interactions()) == first
    assert source.left == left
    ids = [one.decision.decision_id for one in first]
    assert ids == sorted(ids)
    assert len(ids) + left.total() == 20


def test_a_source_has_bounds(past: History) -> None:
    """From a moment, until a moment, of one policy: what lies outside is not even counted."""
    decisions = []
    for _ in range(4):
        decisions.append(past.decide())
        past.deliver(decisions[-1])
        past.clock.now_ms += 1000
    past.promote("fixed/loyal")
    fixed = past.decide()
    past.deliver(fixed)
    start, until = decisions[1].decision_id, decisions[3].decision_id
    middle = past.source(start=start, until=until)
    assert [one.decision for one in middle.interactions()] == decisions[1:3]
    own = past.source(made_by="fixed/loyal")
    progress: list[int] = []
    assert [one.decision for one in own.interactions(progress.append)] == [fixed]
    assert own.left == Counter()
    assert sum(progress) == own.size == 5


def test_rewards_of_another_goal(tmp_path: Path) -> None:
    """One line of the catalog changes what counts; the log stays as it is."""
    with history(tmp_path / "data") as past:
        decision = past.decide()
        past.deliver(decision)
        past.reward(decision, 30.0, name="spend")
        assert [one.reward for one in past.source().interactions()] == [3.0]
        money = CATALOG.replace("visit = 1.0, spend = 0.1", "spend = 1.0")
        past.releases.publish(money)
        past.current.refresh()
        assert [one.reward for one in past.source().interactions()] == [30.0]
    assert START_MS < LATER_MS
