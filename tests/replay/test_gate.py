"""The gate: what is clearly better passes; luck, worse policies and bad overlap do not."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

import pytest

from decisionlog import Stage
from policy.policies import Fixed
from replay.checks import LogFindings
from replay.estimate import Bounds, Estimate
from replay.gate import GateReading, GateResult, gate, judge
from replay.intervals.settings import IntervalSettings, Method
from replay.join import Joined, outcomes
from replay.log_evaluation import Target
from replay.train import train
from tests.replay.history import LATER_MS, History, at, history, offer_of
from tests.replay.worlds import WORLD, live


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """A log of a world with a planted preference, decided uniformly."""
    with history(tmp_path_factory.mktemp("world") / "data", WORLD) as past:
        live(past, 800)
        yield past


def test_a_clearly_better_policy_passes(lived: History) -> None:
    """A trained one, judged on what it has not learned from; the prediction covers the truth."""
    source = lived.source()
    manifest = train(
        source.interactions(), source.catalog, lived.registry, at(LATER_MS), held_out_share=0.5
    ).manifest
    found = gate(source, manifest.version, "uniform")
    assert found.passed
    assert found.reasons == ()
    assert 300 < found.n < 500
    assert found.difference is not None
    assert found.predicted is not None
    assert found.difference.interval[0] > 0
    low, high = found.predicted.interval
    assert low < 0.8 and high > 0.7  # noqa: PT018 - one interval


def test_a_gate_that_may_be_tried_again_asks_for_more(lived: History) -> None:
    """By a sequence the same candidate needs a larger difference: it may be looked at each day."""
    source = lived.source()
    manifest = train(
        source.interactions(), source.catalog, lived.registry, at(LATER_MS), held_out_share=0.5
    ).manifest
    sequence = IntervalSettings(Method.SEQUENCE, clustered=True, bounds=Bounds(0.0, 1.0))
    usual = gate(source, manifest.version, "uniform")
    found, lenient = (
        gate(source, manifest.version, "uniform", intervals=sequence, level=level)
        for level in (0.95, 0.5)
    )
    lows = [one.difference.interval[0] for one in (found, lenient, usual) if one.difference]
    assert len(lows) == 3
    assert lows[0] < lows[1] < lows[2]
    assert found.predicted == usual.predicted


def test_luck_does_not_pass(lived: History) -> None:
    """Both offers earn the same on average: whatever the log shows is within its interval."""
    found = gate(lived.source(), "fixed/spring", "fixed/loyal")
    assert not found.passed
    (reason,) = found.reasons
    assert reason.startswith("the difference may be luck: its interval, from -")


def test_a_policy_is_not_better_than_itself(lived: History) -> None:
    """A difference of exactly nothing is not above nothing."""
    found = gate(lived.source(), "uniform", "uniform")
    assert found.difference is not None
    assert found.difference.value == 0.0
    assert not found.passed


def test_a_worse_policy_does_not_pass(lived: History) -> None:
    """One that is worse beyond luck is called so."""
    source = lived.source()
    manifest = train(
        source.interactions(), source.catalog, lived.registry, at(LATER_MS), held_out_share=0.5
    ).manifest
    found = gate(source, "uniform", manifest.version)
    assert found.difference is not None
    assert found.difference.interval[1] < 0
    assert not found.passed
    assert found.reasons[0].startswith("it is worse: the whole interval of the difference, from -")


def test_only_what_passes_and_has_not_come_true_is_a_forecast(lived: History) -> None:
    """Of a candidate that stays out nothing is foretold, nor by what it earned as a canary."""
    sure = Estimate(0.5, (0.4, 0.6), "")
    assert GateResult(sure, sure, 100, 0, ()).forecast is sure
    assert GateResult(sure, sure, 100, 0, ("it is worse",)).forecast is None
    assert GateResult(sure, sure, 100, 1, ()).forecast is None
    assert gate(lived.source(), "uniform", "fixed/spring").own == 800
    assert gate(lived.source(), "fixed/spring", "uniform").own == 0


def joined_of(past: History) -> list[Joined]:
    """All decisions with their reports."""
    rule = past.source().catalog.reward
    return list(outcomes(past.log.scan(), rule, past.registry.catalog, LATER_MS))


def fresh_for(name: str, fresh: Sequence[Joined]) -> Target:
    """A rule that may be evaluated on some decisions only."""
    ids = {one.logged.decision.decision_id for one in fresh}
    return Target(name, Fixed(name), lambda decision: decision.decision_id in ids)


@pytest.mark.parametrize("shared", [4, 10])
def test_what_few_shared_interactions_say_does_not_pass(lived: History, shared: int) -> None:
    """However many each policy has: of two that earn the same none passes by a few lucky rows."""
    entries = joined_of(lived)
    for seed in range(30):
        Random(seed).shuffle(entries)  # noqa: S311 - test data
        candidate = fresh_for("spring", entries[: 400 + shared])
        champion = fresh_for("loyal", entries[400:])
        reading = GateReading(lived.source())
        reading.add(entries, candidate, champion)
        found = judge(reading, LogFindings((), {}))
        assert found.n == shared
        assert not found.passed
        assert found.predicted is None


def test_a_refused_log_lets_nobody_pass(past: History) -> None:
    """Probabilities that belong to other choices say nothing, though the candidate earned more."""
    past.promote("uniform")
    asks = [past.ask(eligible_offers=("spring", "loyal")) for _ in range(600)]
    decisions = past.decide_all(asks)
    for decision in decisions:
        past.deliver(decision)
        if offer_of(decision) == "spring":
            past.reward(decision)
    assert gate(past.source(), "fixed/spring", "fixed/loyal").reasons == ()
    past.overwrite(
        *(
            replace(one, stages=(Stage((0.6, 0.4), one.stages[0].chosen), *one.stages[1:]))
            for one in decisions
        )
    )
    found = gate(past.source(), "fixed/spring", "fixed/loyal")
    assert found.difference is not None
    assert found.difference.interval[0] > 0
    assert any("do not belong to the choices" in reason for reason in found.reasons)
    assert found.predicted is None


def test_bad_overlap_does_not_pass(past: History) -> None:
    """Where one of hundreds of choices carries all the weight, its luck is no evidence."""
    past.promote("fixed/loyal")
    for _ in range(200):
        past.deliver(past.decide(eligible_offers=("spring", "loyal")))
    past.promote("uniform")
    for turn in range(8):
        decision = past.decide(eligible_offers=("spring", "loyal"), request_id=str(turn))
        past.deliver(decision)
        past.reward(decision)
    found = gate(past.source(), "fixed/spring", "fixed/loyal")
    assert not found.passed
    assert any("effective sample size" in reason for reason in found.reasons)
    assert found.predicted is None


def test_a_champion_that_the_log_hardly_holds_cannot_be_beaten(past: History) -> None:
    """A handful of its choices that earned nothing is no evidence that the candidate earns more."""
    past.promote("uniform")
    for turn in range(70):
        decision = past.decide(eligible_offers=("spring", "loyal"), request_id=str(turn))
        past.deliver(decision)
        if decision.tree[decision.path[0]][0] == "loyal":
            past.reward(decision)
    found = gate(past.source(), "fixed/loyal", "fixed/spring/push")
    assert found.difference is not None
    assert found.difference.interval[0] > 0
    assert not found.passed
    assert any("of the champion, the effective" in reason for reason in found.reasons)


def test_no_overlap_does_not_pass(past: History) -> None:
    """Without a choice that both could make there is no comparison at all."""
    past.promote("fixed/loyal")
    for _ in range(50):
        past.deliver(past.decide(eligible_offers=("spring", "loyal")))
    found = gate(past.source(), "fixed/spring", "uniform")
    assert (found.difference, found.predicted) == (None, None)
    assert found.reasons[0].startswith("the log allows no comparison")


def test_an_empty_log_lets_nobody_pass(past: History) -> None:
    """No interactions, no evidence."""
    found = gate(past.source(), "fixed/spring", "uniform")
    assert not found.passed
    assert found.n == 0
