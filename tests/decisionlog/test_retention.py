"""Retention: the oldest goes first, whole, in bounded transactions, and the file stays as it is."""

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from decisionlog import (
    Contact,
    DecisionLog,
    Delivery,
    DeliveryStatus,
    Proposal,
    Removed,
    RequestIdReused,
    retention,
)
from decisionlog.contacts import Standing
from decisionlog.cursors import keys_from
from decisionlog.ids import lower_bound
from decisionlog.retention import SLICE_ROWS, Sweep
from decisionlog.store import Store
from decisionlog.tables import Table
from decisionlog.upkeep import Limits, Upkeep
from tests.decisionlog.samples import DECISION, DELIVERY, KEYS, MAP_SIZE_BYTES, REWARD, decision_id

DAY_MS = 86_400_000
DAY = 739_533
"""Number of the day 2025-10-08."""


def sweep_of(before_ms: int, requests_before_ms: int) -> Sweep:
    """Return what two moments, Unix time, bound."""
    return Sweep(lower_bound(before_ms), lower_bound(requests_before_ms))


def opened(directory: Path) -> DecisionLog:
    """Open a log."""
    return DecisionLog.open(directory, keys=KEYS, map_size_bytes=MAP_SIZE_BYTES)


def proposal(at_ms: int, subject: bytes = DECISION.subject) -> Proposal:
    """Return a decision at a time, with contact and request id."""
    id_ = decision_id(at_ms)
    decision = replace(DECISION, decision_id=id_, subject=subject)
    contact = Contact(id_, "mens", "push", at_ms, slots=(("channel", "push", DAY, 1),))
    return Proposal(decision, KEYS.request_key(str(at_ms)), contact, audit=("cap",))


def rows(store: Store) -> dict[Table, int]:
    """Return how many rows each table has."""
    with store.read() as transaction:
        return {table: transaction.count(table) for table in Table}


def expired(log: DecisionLog, before_ms: int, size: int = retention.SLICE_ROWS) -> Removed:
    """Let everything from before a time expire."""
    gone = Removed()
    while (part := retention.expire(log.store, lower_bound(before_ms), size)) is not None:
        gone += part
    return gone


@given(
    decided=st.lists(st.integers(1, 30), unique=True, max_size=12),
    delivered=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 4)), unique=True, max_size=30),
    before=st.integers(0, 31),
    size=st.integers(1, 5),
)
def test_slices_remove_all_that_is_older(
    decided: list[int],
    delivered: list[tuple[int, int]],
    before: int,
    size: int,
    tmp_path_factory: object,
) -> None:
    """In slices of any size exactly what is older goes, reports on unknown decisions as well."""
    with opened(tmp_path_factory.mktemp("log")) as log:  # type: ignore[attr-defined]
        log.record([proposal(each) for each in decided])
        log.report_deliveries([report(*each) for each in delivered])
        gone = expired(log, before, size)
        left = [each.decision.decided_at_ms for each in log.scan()]
        assert left == sorted(each for each in decided if each >= before)
        reports = [one for each in log.scan() for one in each.deliveries] + list(log.orphans())
        kept = [each for each in delivered if each[0] >= before]
        assert len(reports) == len(kept)
        assert gone.decisions == gone.contacts == len(decided) - len(left)
        assert gone.deliveries == len(delivered) - len(kept)
        assert log.taken().expired == gone


def report(number: int, name: int) -> Delivery:
    """Return a report on a decision."""
    return replace(
        DELIVERY,
        decision_id=decision_id(number),
        delivery_id=str(name),
        status=DeliveryStatus.SENT,
    )


def test_one_decision_with_many_reports_goes_whole(tmp_path: Path) -> None:
    """A decision is never taken apart, and a slice that it fills alone still goes on."""
    with opened(tmp_path) as log:
        log.record([proposal(1), proposal(2)])
        log.report_deliveries([report(1, name) for name in range(20)])
        part = retention.expire(log.store, lower_bound(3), 4)
        assert part == Removed(1, 20, 0, 1)
        assert retention.expire(log.store, lower_bound(3), 4) == Removed(1, 0, 0, 1)
        assert retention.expire(log.store, lower_bound(3), 4) is None


def test_nothing_of_what_expired_is_left(tmp_path: Path) -> None:
    """After slices, sweeps and budgets every table is empty but for its own counters."""
    with opened(tmp_path) as log:
        log.record([proposal(each) for each in range(1, 40)])
        log.report_deliveries([report(each, 1) for each in range(1, 40)])
        clicks = [replace(REWARD, decision_id=decision_id(each)) for each in range(1, 40)]
        log.report_rewards(clicks, frozenset({REWARD.name}))
        expired(log, 40)
        sweep = sweep_of(40, 40)
        assert retention.sweep_requests(log.store, b"", sweep) is None
        assert retention.sweep_standings(log.store, b"", sweep) is None
        after = (DAY - 719_163 + 4) * DAY_MS
        assert retention.forget_budgets(log.store, after - 3 * DAY_MS) == 0
        assert retention.forget_budgets(log.store, after) == 1
        assert {table for table, count in rows(log.store).items() if count} == {Table.META}


def test_request_ids_are_forgotten_before_their_decisions(tmp_path: Path) -> None:
    """A request id may be used anew once it is too old, though its decision is still there."""
    with opened(tmp_path) as log:
        log.record([proposal(1), proposal(2)])
        assert retention.sweep_requests(log.store, b"", sweep_of(0, 2)) is None
        other = replace(proposal(3).decision, request_digest=b"o" * 16)
        first, second = (KEYS.request_key(name) for name in ("1", "2"))
        (stored,) = log.record([Proposal(other, first)])
        (reused,) = log.record([Proposal(replace(other, decision_id=decision_id(4)), second)])
    assert stored == other
    assert isinstance(reused, RequestIdReused)


def test_a_request_whose_decision_expired_is_answered_anew(tmp_path: Path) -> None:
    """Between the slice and the sweep the request id points to nothing: it counts as new."""
    with opened(tmp_path) as log:
        log.record([proposal(1), proposal(2)])
        expired(log, 2)
        key = KEYS.request_key("1")
        assert log.find_request(key) is None
        again = replace(proposal(3), request_key=key)
        assert log.record([again]) == [again.decision]
        assert log.find_request(key) == again.decision


def test_contacts_count_until_their_decision_expires(tmp_path: Path) -> None:
    """A sweep takes out of a standing what has expired, and leaves the rest."""
    with opened(tmp_path) as log:
        log.record([proposal(1), proposal(2), proposal(1, b"t" * 16), proposal(3, b"t" * 16)])
        retention.sweep_standings(log.store, b"", sweep_of(2, 0))
        assert [each.send_time_ms for each in log.standing(DECISION.subject).contacts] == [2]
        retention.sweep_standings(log.store, b"", sweep_of(3, 0))
        assert log.standing(DECISION.subject) == Standing()
        assert rows(log.store)[Table.STANDINGS] == 1


def test_a_contact_sent_much_later_outlives_its_decision(tmp_path: Path) -> None:
    """Rules look at send times: one that lies ahead goes on counting when its decision expires."""
    with opened(tmp_path) as log:
        soon, later = proposal(1), proposal(2)
        assert later.contact is not None
        log.record([soon, replace(later, contact=replace(later.contact, send_time_ms=9))])
        expired(log, 5)
        retention.sweep_standings(log.store, b"", sweep_of(5, 0))
        (left,) = log.standing(DECISION.subject).contacts
        assert left.send_time_ms == 9
        retention.sweep_standings(log.store, b"", sweep_of(10, 0))
        assert log.standing(DECISION.subject) == Standing()


def test_the_file_stays_as_large_as_it_was(tmp_path: Path) -> None:
    """Over thirty days of traffic, of which four are kept, the file stops growing."""
    sizes = []
    with opened(tmp_path) as log:
        for day in range(30):
            times = range(day * DAY_MS + 1, day * DAY_MS + 101)
            log.record([proposal(each, each.to_bytes(16, "big")) for each in times])
            log.report_deliveries([report(each, 1) for each in times])
            before_ms = (day - 3) * DAY_MS
            if before_ms > 0:
                expired(log, before_ms)
                sweep = sweep_of(before_ms, before_ms)
                retention.sweep_requests(log.store, b"", sweep)
                retention.sweep_standings(log.store, b"", sweep)
            sizes.append(log.store.file_bytes())
    assert max(sizes) < 1.1 * sizes[10]  # the list of free pages comes and goes
    assert sizes[10] < MAP_SIZE_BYTES / 4


def test_what_is_used_shrinks_with_what_is_there(tmp_path: Path) -> None:
    """Used bytes fall when records go, though the file keeps its size."""
    with opened(tmp_path) as log:
        log.record([proposal(each) for each in range(1, 400)])
        used = retention.used_bytes(log.store)
        assert retention.oldest(log.store) == decision_id(1)
        expired(log, 390)
        assert retention.used_bytes(log.store) < used / 2
        assert retention.oldest(log.store) == decision_id(390)
        assert log.store.file_bytes() >= used


def test_all_old_days_of_budgets_go(tmp_path: Path) -> None:
    """However many budgets a catalog had, a sweep goes on, slice by slice, until none is left."""
    many, kept = 2 * SLICE_ROWS + 7, b"\xff" * 4 + b"kept"
    with opened(tmp_path) as log:
        with log.store.write() as transaction:
            for place in range(many):
                transaction.put(Table.BUDGETS, f"\0\0\0\1budget-{place}".encode(), b"spent")
            transaction.put(Table.BUDGETS, kept, b"spent")
        upkeep = Upkeep(log.store, Limits(), lambda: 0)
        upkeep.begin_sweep()
        steps = 1
        while upkeep.sweep():
            steps += 1
        assert steps > many // SLICE_ROWS
        with log.store.read() as transaction:
            assert list(keys_from(transaction.cursor(Table.BUDGETS), b"")) == [kept]
