"""The checks of a log: each finds what it is there for, and leaves sound logs alone."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from decisionlog import Decision, DeliveryStatus, Stage
from policy.rollout import Arm, ArmShare, Rollout
from replay.checks import ArmCheck, DeliveryCheck, DrawCheck, LogChecks, MaturityCheck, arms
from replay.join import Joined, outcomes
from replay.log_plan import evaluate_source
from replay.verdict import Finding, Verdict, worst_first
from tests.replay.history import LATER_MS, History, history, offer_of
from tests.replay.worlds import WORLD, live
from tests.shop import DAY_MS, START_MS

LOTS = 2000


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """A log of a uniform policy over offers, channels and windows."""
    with history(tmp_path_factory.mktemp("shop") / "data") as past:
        past.decide_all([past.ask() for _ in range(600)])
        yield past


def decisions_of(past: History) -> list[Decision]:
    """All decisions of a log."""
    return [one.decision for one in past.log.scan()]


def joined_of(past: History, as_of_ms: int = LATER_MS) -> list[Joined]:
    """All decisions with their reports."""
    source = past.source(as_of_ms)
    return list(outcomes(past.log.scan(), source.catalog.reward, past.registry.catalog, as_of_ms))


def drawn(seed: int, blur: Callable[[np.ndarray], np.ndarray]) -> list[Decision]:
    """Decisions whose choices were drawn from one pmf, and which log what `blur` makes of it."""
    rng = np.random.default_rng(seed)
    with_tree = Decision(
        bytes(16), bytes(16), bytes(16), 1, "x", "x", "UTC", 1, 0, {}, {}, None,  # type: ignore[arg-type]
        tuple((f"offer_{place}", (("email", 1),)) for place in range(4)), (),
    )  # fmt: skip
    decisions = []
    for _ in range(LOTS):
        pmf = rng.dirichlet([0.5] * 4)
        chosen = int(rng.choice(4, p=pmf))
        shown = tuple(blur(pmf).tolist())
        stages = (Stage(shown, chosen), Stage((1.0,), 0), Stage((1.0,), 0))
        decisions.append(replace(with_tree, stages=stages))
    return decisions


def checked(decisions: Sequence[Decision]) -> list[Finding]:
    """What the check of draws finds."""
    check = DrawCheck()
    check.add(decisions)
    return list(check.findings())


def test_sound_logs_pass(lived: History) -> None:
    """The engine's own draws are not blamed; of eight simulated logs at most one is, and mildly."""
    assert checked(decisions_of(lived)) == []
    found = [one for seed in range(8) for one in checked(drawn(seed, lambda pmf: pmf))]
    assert [one.verdict for one in found] in ([], [Verdict.WARN])


def test_probabilities_of_other_choices_are_refused() -> None:
    """Probabilities in another order than the actions do not belong to the choices."""
    (finding,) = checked(drawn(0, lambda pmf: np.asarray([*pmf[1:], pmf[0]])))
    assert finding.verdict is Verdict.REFUSE
    assert "do not belong to the choices: at the offer stage choices were less" in finding.reason


def test_sharpened_probabilities_are_refused() -> None:
    """So do those of a greedier policy than the one that drew, or of one that prefers another."""
    for blur in (
        lambda pmf: pmf**2 / (pmf**2).sum(),
        lambda pmf: np.sqrt(pmf) / np.sqrt(pmf).sum(),
    ):
        (finding,) = checked(drawn(0, blur))
        assert finding.verdict is Verdict.REFUSE
    (finding,) = checked(drawn(0, lambda pmf: pmf * [3, 1, 1, 1] / (pmf * [3, 1, 1, 1]).sum()))
    assert "offer offer_0 was chosen" in finding.reason


def test_an_impossible_choice_is_refused(lived: History) -> None:
    """A choice whose probability is zero was not drawn from what is logged."""
    first, *rest = decisions_of(lived)
    pmf = first.stages[0].pmf
    impossible = tuple(0.0 if place == first.stages[0].chosen else 1.0 for place in range(len(pmf)))
    odd = replace(first, stages=(Stage(impossible, first.stages[0].chosen), *first.stages[1:]))
    (finding,) = checked([odd, *rest])
    assert finding.verdict is Verdict.REFUSE
    assert "1 choices have a logged probability of zero" in finding.reason


def test_an_evaluation_with_probabilities_of_other_choices_is_refused(tmp_path: Path) -> None:
    """Even that of the logging policy, whose weights are all 1, withholds its headline."""
    with history(tmp_path / "data", WORLD) as past:
        live(past, 600)
        others = [
            replace(one, stages=(Stage((0.9, 0.1), one.stages[0].chosen), *one.stages[1:]))
            for one in decisions_of(past)
        ]
        past.overwrite(*others)
        found = evaluate_source(past.source(), ("fixed/spring",)).policies["logging"].result
    assert found.diagnosis.summary.max_weight == 1.0
    assert found.verdict is Verdict.REFUSE
    assert found.headline("snips") is None
    assert any("do not belong to the choices" in reason for reason in found.diagnosis.reasons)


def test_rare_actions_are_counted_together() -> None:
    """One choice of an action with a chance of one in a million is no proof of anything."""
    (first, *rest) = drawn(1, lambda pmf: pmf)
    rare = Stage((1e-6, 1 - 1e-6), 0)
    tree = (("rare", (("email", 1),)), ("other", (("email", 1),)))
    odd = replace(first, tree=tree, stages=(rare, *first.stages[1:]))
    assert checked([odd, *rest]) == []


def rollout(*shares: tuple[Arm, float], after_ms: int = -1000) -> Rollout:
    """A rollout in force from some time on."""
    return Rollout(
        sequence=1,
        catalog="catalog",
        arms=tuple(ArmShare(arm=arm, policy="x", share=share) for arm, share in shares),
        updated_at=datetime.fromtimestamp((START_MS + after_ms) / 1000, UTC),
    )


def subjects(seed: int, counts: dict[Arm, int]) -> list[Decision]:
    """A decision for each of so many subjects of each arm."""
    rng = np.random.default_rng(seed)
    template = drawn(0, lambda pmf: pmf)[0]
    decisions = [
        replace(
            template,
            arm=int(arm),
            subject=rng.bytes(16),
            decision_id=START_MS.to_bytes(6, "big") + rng.bytes(10),
        )
        for arm, count in counts.items()
        for _ in range(count)
    ]
    return [decisions[place] for place in rng.permutation(len(decisions))]


TWO = rollout((Arm.CHAMPION, 0.5), (Arm.RANDOM, 0.5))


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ({Arm.CHAMPION: 5000, Arm.RANDOM: 5100}, None),
        ({Arm.CHAMPION: 5000, Arm.RANDOM: 5400}, Verdict.WARN),
        ({Arm.CHAMPION: 5000, Arm.RANDOM: 4000}, Verdict.REFUSE),
    ],
)
def test_arms_are_held_against_their_shares(
    counts: dict[Arm, int], verdict: Verdict | None
) -> None:
    """By subject, with a chi-square test."""
    check = ArmCheck()
    check.add(subjects(3, counts))
    assert [one.verdict for one in check.findings([TWO])] == ([verdict] if verdict else [])


def test_a_subject_counts_once() -> None:
    """Many decisions of one subject are no mismatch of arms."""
    check, decisions = ArmCheck(), subjects(4, {Arm.CHAMPION: 500, Arm.RANDOM: 500})
    often = [one for one in decisions for _ in range(20 if one.arm == Arm.RANDOM else 1)]
    check.add(often)
    assert list(check.findings([TWO])) == []
    assert check.to_json([TWO])["subjects"] == 1000


def test_shares_are_those_of_their_time() -> None:
    """A rollout that came later says nothing about subjects that came before."""
    check = ArmCheck()
    check.add(subjects(5, {Arm.CHAMPION: 1000, Arm.RANDOM: 1000}))
    later = rollout((Arm.CHAMPION, 0.9), (Arm.RANDOM, 0.1), after_ms=1000)
    assert list(check.findings([later, TWO])) == []
    assert [one.verdict for one in check.findings([later])] == [Verdict.REFUSE]


def test_many_subjects_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are kept are the same whatever came first, and by arm as many as should be."""
    monkeypatch.setattr(arms, "SUBJECTS_KEPT", 1000)
    decisions = subjects(6, {Arm.CHAMPION: 6000, Arm.RANDOM: 6000})
    forth, back, parts = ArmCheck(), ArmCheck(), ArmCheck()
    forth.add(decisions)
    back.add(decisions[::-1])
    for place in range(0, len(decisions), 700):
        part = ArmCheck()
        part.add(decisions[place : place + 700])
        parts.merge(part)
    assert 500 < len(forth.first) <= 1000
    assert forth.first == back.first == parts.first
    assert list(forth.findings([TWO])) == []


def test_unequal_deliveries_are_found(tmp_path: Path) -> None:
    """If one offer's messages fail and the other's do not, what is left says so."""
    with history(tmp_path / "data", WORLD) as past:
        for turn, one in enumerate(past.decide_all([past.ask() for _ in range(200)])):
            fails = offer_of(one) == "spring" and turn % 2 == 0
            past.deliver(one, DeliveryStatus.FAILED if fails else DeliveryStatus.SENT)
        (finding,) = _deliveries(past)
        assert finding.verdict is Verdict.WARN
        assert "spring" in finding.reason
        assert "loyal 0.0%" in finding.reason


def test_equal_failures_are_harmless(tmp_path: Path) -> None:
    """A third of all deliveries failed, whatever was sent."""
    with history(tmp_path / "data", WORLD) as past:
        live(past, 400, delivered=0.67)
        assert _deliveries(past) == []


def test_successes_alone_are_not_the_whole(tmp_path: Path) -> None:
    """A sender that reports what it delivered and nothing else is found out."""
    with history(tmp_path / "data") as past:
        decisions = past.decide_all([past.ask() for _ in range(600)])
        for turn, one in enumerate(decisions):
            channel = one.tree[one.path[0]][1][one.path[1]][0]
            if turn % 20 < (9 if channel == "push" else 19):
                past.deliver(one)
        found = evaluate_source(past.source(), ("uniform",))
        early = evaluate_source(past.source(past.clock.now_ms + DAY_MS), ("uniform",))
    reasons = found.policies["logging"].result.diagnosis.reasons
    assert found.policies["uniform"].result.verdict is Verdict.WARN
    assert any("of the messages nobody ever reported" in reason for reason in reasons)
    assert any("do not fail alike for every channel (push 5" in reason for reason in reasons)
    facts = found.log.facts["deliveries"]
    assert 0.1 < facts["unreported_share"] < 0.2
    push = facts["channel"]["actions"]["push"]
    assert push["undelivered"] == 0
    assert 0.4 < push["unreported"] / (push["unreported"] + push["reported"]) < 0.7
    # They may still be reported while their windows are open.
    assert early.log.facts["deliveries"]["unreported_share"] == 0


def _deliveries(past: History) -> list[Finding]:
    check = DeliveryCheck(past.source().catalog.reward, LATER_MS)
    check.add(joined_of(past))
    return list(check.findings())


def test_young_decisions_are_told(tmp_path: Path) -> None:
    """Where half of the windows are open, the evaluation says what it leaves out."""
    with history(tmp_path / "data", WORLD) as past:
        live(past, 100)
        past.clock.now_ms += 20 * DAY_MS
        live(past, 100)
        # A day later all deliveries have been reported, and are seen.
        found = evaluate_source(past.source(past.clock.now_ms + DAY_MS), ("uniform",))
    result = found.policies["uniform"].result
    assert result.n == 100
    assert result.verdict is Verdict.WARN
    assert "50.0% of the decisions are too young" in result.diagnosis.reasons[-1]
    assert found.log.facts["maturity"]["open_share"] == 0.5


@pytest.mark.parametrize(
    ("days", "words"),
    [(1.0, None), (13.5, "come in the last tenth"), (15.0, "came after the attribution window")],
)
def test_late_rewards_are_told(tmp_path: Path, days: float, words: str | None) -> None:
    """Rewards that come near the end of the window or behind it say that it is too short."""
    with history(tmp_path / "data", WORLD) as past:
        for one in past.decide_all([past.ask() for _ in range(60)]):
            past.deliver(one)
            past.reward(one, after_ms=int(days * DAY_MS))
        check = MaturityCheck(past.source().catalog.reward)
        check.add(joined_of(past))
    reasons = [one.reason for one in check.findings()]
    assert len(reasons) == (words is not None)
    assert all(words in reason for reason in reasons if words)
    if words is None:
        assert check.median_days() == pytest.approx(1.4)


def test_checks_merge(lived: History) -> None:
    """However a log is cut, the checks find the same."""
    source, entries = lived.source(), joined_of(lived)
    whole, parts = (
        LogChecks(source.catalog.reward, LATER_MS),
        LogChecks(source.catalog.reward, LATER_MS),
    )
    whole.add(entries)
    for place in range(0, len(entries), 70):
        part = LogChecks(source.catalog.reward, LATER_MS)
        part.add(entries[place : place + 70])
        parts.merge(pickle.loads(pickle.dumps(part)))  # noqa: S301 - our own bytes
    history_of = list(lived.registry.rollout_file.history())
    assert whole.result(history_of).findings == parts.result(history_of).findings
    found, other = whole.result(history_of).facts, parts.result(history_of).facts
    assert found["arms"] == other["arms"]
    assert found["deliveries"] == other["deliveries"]
    assert found["maturity"] == other["maturity"]
    assert found["draws"]["worst_z"] == pytest.approx(other["draws"]["worst_z"])


def test_the_gravest_reason_comes_first() -> None:
    """Findings of the log join those of the policy."""
    warn, refuse = Finding(Verdict.WARN, "late"), Finding(Verdict.REFUSE, "mixed up")
    assert worst_first(Verdict.WARN, ("heavy",), [warn, refuse]) == (
        Verdict.REFUSE,
        ("mixed up", "heavy", "late"),
    )
    assert worst_first(Verdict.OK, (), []) == (Verdict.OK, ())
    assert worst_first(Verdict.OK, (), [warn]) == (Verdict.WARN, ("late",))
