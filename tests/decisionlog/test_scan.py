"""Reading in order: the merge join of decisions and their reports, in slices of any size."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decisionlog import DamagedRecord, DecisionLog, Delivery, LoggedDecision, Proposal, Reward
from decisionlog.store import Store
from decisionlog.tables import Table, report_key
from tests.decisionlog import samples
from tests.decisionlog.samples import DECISION, DELIVERY, KEYS, REWARD, decision_id

numbers = st.integers(1, 12)
reports = st.lists(st.tuples(numbers, st.sampled_from("abc")), max_size=20, unique=True)


def open_log(directory: Path) -> DecisionLog:
    """Open a log with a small map."""
    return DecisionLog.open(directory, keys=KEYS, map_size_bytes=samples.MAP_SIZE_BYTES)


def fill(log: DecisionLog, known: Sequence[int], reported: Sequence[tuple[int, str]]) -> None:
    """Store decisions, and for each report a delivery and a reward."""
    log.record([Proposal(replace(DECISION, decision_id=decision_id(n))) for n in known])
    log.report_deliveries([delivery(n, name) for n, name in reported])
    log.report_rewards([reward(n, name) for n, name in reported])


def delivery(number: int, name: str) -> Delivery:
    """Return a delivery of a decision."""
    return replace(DELIVERY, decision_id=decision_id(number), delivery_id=name)


def reward(number: int, name: str) -> Reward:
    """Return a reward of a decision."""
    return replace(REWARD, decision_id=decision_id(number), reward_id=name)


def names_of(logged: LoggedDecision) -> tuple[int, list[str], list[str]]:
    """Return a decision's number and the sorted names of its reports."""
    return (
        logged.decision.decided_at_ms,
        sorted(each.delivery_id for each in logged.deliveries),
        sorted(each.reward_id for each in logged.rewards),
    )


@settings(max_examples=40, deadline=None)
@given(
    known=st.sets(numbers),
    reported=reports,
    slice_size=st.integers(1, 5),
    start=numbers,
    until=st.none() | numbers,
)
def test_a_scan_is_a_join(
    known: set[int],
    reported: list[tuple[int, str]],
    slice_size: int,
    start: int,
    until: int | None,
) -> None:
    """Each decision within the bounds comes once, in order, with exactly its own reports."""
    end = 13 if until is None else until
    expected = [
        (number, names, names)
        for number in sorted(known)
        if start <= number < end
        for names in [sorted(name for n, name in reported if n == number)]
    ]
    with TemporaryDirectory() as directory, open_log(Path(directory)) as log:
        fill(log, sorted(known), reported)
        scanned = log.scan(
            start=decision_id(start),
            until=None if until is None else decision_id(until),
            slice_size=slice_size,
        )
        assert [names_of(logged) for logged in scanned] == expected


@settings(max_examples=40, deadline=None)
@given(known=st.sets(numbers), reported=reports, slice_size=st.integers(1, 5))
def test_orphans_are_what_a_scan_leaves(
    known: set[int], reported: list[tuple[int, str]], slice_size: int
) -> None:
    """Every report is either joined or an orphan, never both, never lost."""
    orphaned = {(n, name) for n, name in reported if n not in known}
    with TemporaryDirectory() as directory, open_log(Path(directory)) as log:
        fill(log, sorted(known), reported)
        found = list(log.orphans(slice_size=slice_size))
    assert set(found) == {delivery(*each) for each in orphaned} | {
        reward(*each) for each in orphaned
    }
    assert len(found) == 2 * len(orphaned)


@pytest.mark.parametrize("slice_size", [0, -1])
def test_a_slice_must_hold_something(tmp_path: Path, slice_size: int) -> None:
    """A slice size that would never end is refused."""
    with open_log(tmp_path) as log:
        for reading in (log.scan(slice_size=slice_size), log.orphans(slice_size=slice_size)):
            with pytest.raises(ValueError, match="never ends"):
                next(iter(reading))


def test_a_waiting_scan_holds_no_transaction(tmp_path: Path) -> None:
    """While the consumer thinks, freed pages can be reused, and what comes later is seen later."""
    with open_log(tmp_path) as log:
        fill(log, range(1, 5), [])
        scanned = log.scan(slice_size=2)
        next(scanned)
        assert _readers(log) == "(no active readers)\n"
        fill(log, [5], [])
        assert [logged.decision.decided_at_ms for logged in scanned] == [2, 3, 4, 5]


def _readers(log: DecisionLog) -> str:
    """Return LMDB's own table of the transactions that read now, without idle slots."""
    lines = log._store._environment.readers().splitlines(keepends=True)
    active = [line for line in lines[1:] if "-" not in line.split()[-1]]
    return "".join(active) or "(no active readers)\n"


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[DecisionLog]:
    """Yield a log of four decisions, where a decision, a delivery and a reward are damaged."""
    with open_log(tmp_path) as log:
        fill(log, range(1, 5), [(n, "a") for n in range(1, 6)])
    with Store(tmp_path, map_size_bytes=samples.MAP_SIZE_BYTES) as store:
        flip(store, Table.DECISIONS, decision_id(2))
        flip(store, Table.DELIVERIES, report_key(decision_id(3), "a"))
        flip(store, Table.REWARDS, report_key(decision_id(5), "a"))
    with open_log(tmp_path) as log:
        yield log


def flip(store: Store, table: Table, key: bytes) -> None:
    """Flip a bit of a stored value."""
    with store.write() as transaction:
        store.open_tables(transaction)
        value = bytearray(transaction.get(table, key) or b"")
        value[-1] ^= 1
        transaction.put(table, key, bytes(value))


def test_damage_stops_a_scan(damaged: DecisionLog) -> None:
    """Without a handler the first damaged record is raised, with its table and key."""
    scanned = damaged.scan()
    assert next(scanned).decision.decided_at_ms == 1
    with pytest.raises(DamagedRecord) as caught:
        next(scanned)
    assert (caught.value.table, caught.value.key) == ("decisions", decision_id(2))


def test_damage_can_be_told_and_passed_over(damaged: DecisionLog) -> None:
    """With a handler every damaged record is told, and all others are read."""
    told: list[DamagedRecord] = []
    read = [names_of(logged) for logged in damaged.scan(on_damage=told.append)]
    assert read == [(1, ["a"], ["a"]), (3, [], ["a"]), (4, ["a"], ["a"])]
    assert [(each.table, each.key[:16]) for each in told] == [
        ("decisions", decision_id(2)),
        ("deliveries", decision_id(3)),
    ]
    assert list(damaged.orphans(on_damage=told.append)) == [delivery(5, "a")]
    assert [each.table for each in told] == ["decisions", "deliveries", "rewards"]


def test_damage_fails_its_own_report_only(damaged: DecisionLog) -> None:
    """Where an earlier report cannot be read, the repeat gets an error and its batch goes on."""
    failed, accepted = damaged.report_deliveries([delivery(3, "a"), delivery(3, "b")])
    assert isinstance(failed, DamagedRecord)
    assert accepted == 1


def test_a_damaged_decision_is_raised_when_asked_for(damaged: DecisionLog) -> None:
    """A look-up by id never returns what was not written."""
    with pytest.raises(DamagedRecord):
        damaged.decision(decision_id(2))


def test_a_request_without_its_decision_is_damage(tmp_path: Path) -> None:
    """A request that points to a missing decision is told, not answered with a new decision."""
    with open_log(tmp_path) as log:
        log.record([Proposal(DECISION, b"r" * 16)])
    with Store(tmp_path, map_size_bytes=samples.MAP_SIZE_BYTES) as store, store.write() as rows:
        store.open_tables(rows)
        assert rows.delete(Table.DECISIONS, DECISION.decision_id)
    with open_log(tmp_path) as log:
        (failed,) = log.record([Proposal(DECISION, b"r" * 16)])
        assert isinstance(failed, DamagedRecord)
        with pytest.raises(DamagedRecord, match="decision is missing"):
            log.find_request(b"r" * 16)
