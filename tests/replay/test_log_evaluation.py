"""Policies evaluated on a log: against values worked out by hand, and against the truth."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from decisionlog import Decision
from decisionlog.ids import to_text
from policy.policies import Fixed, Uniform
from replay.errors import BadValueError
from replay.estimate import Bounds
from replay.intervals.settings import IntervalSettings
from replay.join import Interaction
from replay.log_evaluation import LOGGING, PolicyReading, Target, Unusable, p_target
from replay.log_plan import evaluate_source
from replay.verdict import Verdict
from tests.replay.evaluations import evaluate_log
from tests.replay.history import History, history, offer_of
from tests.replay.worlds import OTHERWISE, WORLD, live

SPRING, LOYAL = Target("spring", Fixed("spring")), Target("loyal", Fixed("loyal"))


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """A log of a world with a planted preference: each offer earns 0.45 on average."""
    with history(tmp_path_factory.mktemp("world") / "data", WORLD) as past:
        live(past, 800)
        yield past


def read(past: History) -> list[Interaction]:
    """All interactions of a log."""
    return list(past.source().interactions())


def mean(rewards: Sequence[float]) -> float:
    """The mean."""
    return sum(rewards) / len(rewards)


def test_fixed_offers_are_worth_what_their_choices_earned(lived: History) -> None:
    """Of a uniform log: ips is twice the sum over the choices that agree by n, snips their mean."""
    interactions = read(lived)
    results = evaluate_log(interactions, [SPRING, LOYAL])
    for target in (SPRING, LOYAL):
        agreeing = [one.reward for one in interactions if offer_of(one.decision) == target.name]
        estimates = results[target.name].result.estimates
        assert estimates["snips"] is not None
        assert estimates["ips"] is not None
        assert estimates["snips"].value == pytest.approx(mean(agreeing), rel=1e-12)
        assert estimates["ips"].value == pytest.approx(2 * sum(agreeing) / len(interactions))
        low, high = estimates["snips"].interval
        assert low < (0.8 + OTHERWISE) / 2 < high


def test_the_logging_policy_is_worth_the_mean(lived: History) -> None:
    """Its weights are all 1; it differs from itself by nothing."""
    interactions = read(lived)
    found = evaluate_log(interactions, [])[LOGGING]
    estimate = found.result.estimates["snips"]
    assert estimate is not None
    assert estimate.value == pytest.approx(mean([one.reward for one in interactions]))
    assert found.result.diagnosis.summary.ess == pytest.approx(len(interactions))
    assert found.difference is not None
    assert (found.difference.value, found.difference.interval) == (0.0, (0.0, 0.0))


def test_broken_promises_name_the_decision(lived: History) -> None:
    """A reward beyond the declared bounds is named by its decision, not by a row of some chunk."""
    interactions = read(lived)
    first = next(one for one in interactions if one.reward > 0.5)
    declared = IntervalSettings(clustered=True, bounds=Bounds(0.0, 0.5))
    name = f"decision {to_text(first.decision.decision_id)}, column reward: 1.0 lies outside"
    with pytest.raises(BadValueError, match=name):
        PolicyReading(["ips"], declared).add(interactions, p_target(Fixed("spring"), interactions))


def test_a_target_sees_only_what_is_fresh_to_it(lived: History) -> None:
    """Each policy is evaluated on its own part of the log; the logging policy on all of it."""
    interactions = read(lived)
    fresh = {one.decision.decision_id for one in interactions[::3]}

    def is_fresh(decision: Decision) -> bool:
        return decision.decision_id in fresh

    target = Target("some", Uniform(), is_fresh)
    results = evaluate_log(interactions, [target, SPRING])
    sizes = {name: found.result.n for name, found in results.items()}
    assert sizes == {LOGGING: 800, "some": len(fresh), "spring": 800}
    assert results["some"].unusable == {Unusable.NOT_FRESH: 800 - len(fresh)}
    assert results["spring"].unusable == {}


def test_decisions_of_rules_are_counted_by_policy(tmp_path: Path) -> None:
    """A fixed champion's choices speak for the logging policy; for others they are counted."""
    with history(tmp_path / "data", WORLD + "\n[traffic]\nrandom = 0.5\n") as past:
        past.promote("fixed/loyal")
        decisions = live(past, 100)
        found = evaluate_source(past.source(), ("uniform",)).policies
    ruled = sum(one.policy_version == "fixed/loyal" for one in decisions)
    assert 0 < ruled < 100
    assert found[LOGGING].result.n == 100
    assert found["uniform"].result.n == 100 - ruled
    assert found["uniform"].unusable == {Unusable.NO_SUPPORT: ruled}
    assert found[LOGGING].unusable == {}


def test_target_probabilities_are_products_of_stages(past: History) -> None:
    """Of the whole choice, offer, channel and window; 0 for what a rule would never do."""
    decision = past.decide(eligible_offers=("spring",), excluded_channels=("push",))
    past.deliver(decision)
    interactions = read(past)
    assert decision.action_probability == pytest.approx(1 / 6)
    assert p_target(Uniform(), interactions) == pytest.approx(np.array([1 / 6]))
    assert p_target(Fixed("spring", "email"), interactions) == pytest.approx(np.array([1 / 6]))
    both = past.decide(eligible_offers=("spring",))
    past.deliver(both)
    channel = both.tree[0][1][both.stages[1].chosen][0]
    other = "push" if channel == "email" else "email"
    *_, last = p_target(Fixed("spring", other), read(past))
    assert last == 0.0


def test_a_log_without_agreement_is_refused(past: History) -> None:
    """A policy that takes none of the logged actions has no value, and the verdict says so."""
    past.promote("fixed/loyal")
    for _ in range(50):
        past.deliver(past.decide(eligible_offers=("spring", "loyal")))
    assert p_target(SPRING.policy, read(past)).tolist() == [0.0] * 50
    found = evaluate_log(read(past), [SPRING])["spring"]
    assert found.result.verdict is Verdict.REFUSE
    assert found.result.estimates["snips"] is None
    assert found.difference is None


def test_an_empty_log_has_no_values(past: History) -> None:
    """Nothing to evaluate is a refusal, not an error and not a zero."""
    results = evaluate_log(read(past), [SPRING])
    for found in results.values():
        assert found.result.n == 0
        assert found.result.verdict is Verdict.REFUSE
        assert found.result.headline("snips") is None
