"""Verification: real logs are exact, and every edit of a probability or choice is named."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay.verify as verifying
from decisionlog import Decision, DecisionLog, Stage
from decisionlog.tables import Table
from replay.verify import Sought, Verification, verify
from tests.replay.history import History, history, text_of
from tests.shop import CATALOG, TRAFFIC, register_chain


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[History]:
    """A log of every arm and of two champions, under two catalogs."""
    with history(tmp_path / "data", CATALOG + TRAFFIC) as past:
        fill(past)
        past.promote(register_chain(past.registry))
        fill(past)
        past.releases.publish(CATALOG.replace("19.5", "20.5"))
        past.current.refresh()
        fill(past)
        yield past


def fill(past: History) -> None:
    """Decides for some customers, with all kinds of features and with nothing eligible."""
    for turn in range(20):
        past.clock.now_ms += 3_600_000
        features = {"age": turn / 7, "plan": "gold|x:1", "vip": turn % 2 == 0}
        past.decide(features=features, offer_features={"loyal": {"fit": turn / 3}})
    past.decide(eligible_offers=("past",))


def checked(past: History) -> Verification:
    """What verification finds."""
    return verify(Sought(past.log, past.registry))


def test_real_logs_are_exact(mixed: History) -> None:
    """Every arm, catalog and policy, decisions without choice included."""
    progress: list[int] = []
    found = verify(Sought(mixed.log, mixed.registry), progress.append)
    assert found == Verification(decisions=63, exact=63, mismatches=())
    assert found.mismatched == 0
    assert sum(progress) == 63
    versions = {logged.decision.policy_version for logged in mixed.log.scan()}
    assert {"uniform", "holdout", "fixed/spring/push"} < versions
    assert any(version.startswith("chain-") for version in versions)


def chain_decision(past: History) -> Decision:
    """A decision of a chain, with something to choose at every stage."""
    past.promote(register_chain(past.registry))
    while True:
        decision = past.decide()
        if all(len(stage.pmf) > 1 for stage in decision.stages):
            return decision


def edited(decision: Decision, stage: int, **changes: object) -> Decision:
    """A decision with one stage changed."""
    stages = list(decision.stages)
    stages[stage] = replace(stages[stage], **changes)  # type: ignore[arg-type]
    return replace(decision, stages=tuple(stages))


def assert_named(past: History, decision: Decision, reason: str) -> None:
    """Exactly this decision differs, for this reason; the others do not."""
    found = checked(past)
    assert [(one.decision_id, one.reason) for one in found.mismatches] == [
        (text_of(decision), reason)
    ]
    assert found.mismatched == 1
    assert found.decisions == past.log.counts().decisions


@pytest.mark.parametrize(("stage", "name"), [(0, "offer"), (1, "channel"), (2, "send_time")])
def test_one_bit_of_a_probability_is_found(past: History, stage: int, name: str) -> None:
    """Of whichever stage; the record's checksum is right, only its content is not."""
    decision = chain_decision(past)
    past.decide()
    first, *others = decision.stages[stage].pmf
    changed = (first + 2**-52, *others)
    past.overwrite(edited(decision, stage, pmf=changed))
    assert_named(past, decision, f"the pmf of the {name} differs")


@pytest.mark.parametrize(("stage", "name"), [(0, "offer"), (1, "channel"), (2, "send_time")])
def test_another_choice_is_found(past: History, stage: int, name: str) -> None:
    """A chosen index that the draw does not give."""
    decision = chain_decision(past)
    size = len(decision.stages[stage].pmf)
    past.overwrite(edited(decision, stage, chosen=(decision.stages[stage].chosen + 1) % size))
    (found,) = checked(past).mismatches
    assert found.decision_id == text_of(decision)
    assert found.reason.endswith("differs")
    assert name in found.reason or stage < 2


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_any_edit_of_the_stages_is_found(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever stages somebody writes in the place of the logged ones, the decision is named."""
    with history(tmp_path_factory.mktemp("log") / "data") as past:
        decision = past.decide()
        pmfs = st.lists(st.floats(0, 1), min_size=1, max_size=6).map(tuple)
        stage = pmfs.flatmap(
            lambda pmf: st.builds(Stage, st.just(pmf), st.integers(0, len(pmf) - 1))
        )
        stages = data.draw(
            st.lists(st.sampled_from(decision.stages) | stage, max_size=4).map(tuple)
        )
        past.overwrite(replace(decision, stages=stages))
        mismatched = checked(past).mismatched
    assert mismatched == (stages != decision.stages)


@pytest.mark.parametrize(
    "changes",
    [
        {"stages": ()},
        {"stages": (), "no_send_reason": 2},
        {"stages": (), "no_send_reason": 3},
        {"no_send_reason": 3},
        {"tree": ()},
        {"tree": (("spring", (("email", 0b1),)),)},
        {"tree": (("nothing", (("email", 0b111111),)),)},
        {"policy_version": "holdout"},
        {"policy_version": "chain-0123456789abcdef"},
        {"catalog_version": "catalog-0123456789abcdef"},
        {"features": {"plan": "2"}},
    ],
)
def test_a_record_that_cannot_be_is_named(past: History, changes: dict[str, object]) -> None:
    """Verification never stops at it, whatever is wrong with it."""
    past.promote(register_chain(past.registry))
    decision = past.decide(eligible_offers=("spring", "loyal"), features={"plan": "1"})
    past.decide()
    past.overwrite(replace(decision, **changes))  # type: ignore[arg-type]
    found = checked(past)
    assert [one.decision_id for one in found.mismatches] == [text_of(decision)]
    assert (found.decisions, found.exact) == (2, 1)


def test_a_nothing_that_was_something_is_found(past: History) -> None:
    """A decision without choice must have had an empty tree, and say so."""
    nothing = past.decide(eligible_offers=("past",))
    past.overwrite(replace(nothing, no_send_reason=0))
    assert_named(past, nothing, "the reason not to send differs")


def test_a_missing_model_is_named(past: History) -> None:
    """Without its model a decision cannot be recomputed, and the version is said."""
    decision = chain_decision(past)
    count = past.log.counts().decisions
    shutil.rmtree(past.registry._models / decision.policy_version)
    found = checked(past)
    assert found.mismatched == count
    assert f"'{decision.policy_version}' is not registered" in found.mismatches[0].reason


def test_a_changed_model_is_named(past: History) -> None:
    """A model file that differs from its manifest proves nothing."""
    decision = chain_decision(past)
    path = past.registry._models / decision.policy_version / "weights.npy"
    path.write_bytes(path.read_bytes() + b"\0")
    assert "'weights.npy' of" in checked(past).mismatches[0].reason


def test_a_damaged_record_is_named_by_its_decision(past: History) -> None:
    """Its id is given as people write it; the decisions after it are verified all the same."""
    first, _ = past.decide(), past.decide()
    with past.log._store.write() as transaction:
        transaction.put(Table.DECISIONS, first.decision_id, b"\1garbage")
    found = checked(past)
    assert [one.decision_id for one in found.mismatches] == [text_of(first)]
    assert "is damaged" in found.mismatches[0].reason
    assert (found.decisions, found.exact) == (2, 1)


def test_a_damaged_report_is_told_of_its_decision(past: History) -> None:
    """The decision is counted once, and not as exact."""
    decision, _ = past.decide(), past.decide()
    past.deliver(decision, delivery_id="d")
    (key,) = (row[0] for row in rows(past, Table.DELIVERIES))
    with past.log._store.write() as transaction:
        transaction.put(Table.DELIVERIES, key, b"\1garbage")
    found = checked(past)
    assert [one.decision_id for one in found.mismatches] == [text_of(decision)]
    assert "table deliveries is damaged" in found.mismatches[0].reason
    assert (found.decisions, found.exact) == (2, 1)


def rows(past: History, table: Table) -> list[tuple[bytes, bytes]]:
    """All of a table."""
    found = []
    with past.log._store.read() as transaction:
        cursor = transaction.cursor(table)
        there = cursor.set_range(b"")
        while there:
            found.append((cursor.key(), cursor.value()))
            there = cursor.next()
    return found


def test_a_thousand_mismatches_are_named_and_all_are_counted(past: History) -> None:
    """The list has an end, the count has not."""
    past.promote("fixed/loyal")
    decisions = past.decide_all([past.ask(eligible_offers=("loyal",)) for _ in range(1001)])
    past.overwrite(*(replace(decision, policy_version="fixed") for decision in decisions))
    found = checked(past)
    assert found.mismatched == 1001
    assert len(found.mismatches) == 1000


def test_processes_find_the_same(mixed: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes name the same decisions in the same order as one, and all progress is told."""
    monkeypatch.setattr(verifying, "STRETCH", 3)
    logged = [logged.decision for logged in mixed.log.scan() if logged.decision.stages]
    for decision in logged[::7]:
        mixed.overwrite(replace(decision, no_send_reason=3 - decision.no_send_reason))
    open_log = partial(DecisionLog.open, mixed.registry.data_dir, keys=None, read_only=True)
    sought = Sought(mixed.log, mixed.registry, open_log=open_log)
    steps: list[int] = []
    alone, both = verify(sought, processes=1), verify(sought, steps.append, 2)
    assert alone == both
    assert both.mismatched > 1
    assert sum(steps) == both.decisions


def test_bounds_leave_the_rest_out(mixed: History) -> None:
    """From an id on, and up to another one that is left out."""
    ids = [logged.decision.decision_id for logged in mixed.log.scan()]
    found = verify(Sought(mixed.log, mixed.registry, ids[2], ids[5]))
    assert (found.decisions, found.exact) == (3, 3)
