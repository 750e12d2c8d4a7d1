"""The ledger: everything that came in is counted once, and what is missing is missed."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decisionlog import Contact, Decision, DeliveryStatus, Proposal
from decisionlog.tables import Table, report_key
from replay.join import CLOCK_TOLERANCE_MS
from replay.ledger import Ledger, ledger
from tests.replay.history import History, history
from tests.shop import DAY_MS, shop

RULE = shop().reward
LATE_MS = 15 * DAY_MS


def counted(past: History) -> Ledger:
    """The ledger under the shop's rule."""
    return ledger(past.log, RULE)


def test_an_empty_log_is_balanced(past: History) -> None:
    """Nothing came in, nothing is missing."""
    found = counted(past)
    assert found.balanced
    assert (found.decided, found.deliveries, found.rewards) == (0, 0, 0)


@pytest.mark.parametrize(
    ("table", "count"),
    [
        (Table.DECISIONS, "decisions_damaged"),
        (Table.DELIVERIES, "deliveries_damaged"),
        (Table.REWARDS, "rewards_damaged"),
    ],
)
def test_damaged_records_are_counted(past: History, table: Table, count: str) -> None:
    """One that cannot be read has a line of its own, and all else is counted as ever."""
    decisions = [past.decide() for _ in range(3)]
    for decision in decisions:
        past.deliver(decision)
        past.reward(decision)
    past.damage(table, decisions[1].decision_id)
    found = counted(past)
    assert found.balanced
    assert (found.damaged, getattr(found, count)) == (1, 1)
    assert (found.decided, found.deliveries, found.rewards) == (3, 3, 3)


def orphan(past: History) -> Decision:
    """A decision that the log will not hold."""
    with history(Path(past.log._store.directory) / "elsewhere", seed=1) as other:
        return other.decide()


def test_every_count_has_its_meaning(past: History) -> None:
    """One of each: by fate, by time, unmatched and repeated."""
    sent, failed, pending = (past.decide(eligible_offers=("loyal",)) for _ in range(3))
    quiet = past.decide(eligible_offers=("no_send",))
    past.deliver(sent, delivery_id="again")
    past.deliver(sent, delivery_id="again")
    past.deliver(failed, DeliveryStatus.FAILED)
    past.reward(sent)
    past.reward(quiet, name="anything")
    past.reward(sent, after_ms=LATE_MS)
    past.reward(sent, after_ms=-2 * CLOCK_TOLERANCE_MS)
    past.reward(pending, reward_id="again")
    past.reward(pending, reward_id="again")
    stranger = orphan(past)
    past.deliver(stranger)
    past.reward(stranger)
    progress: list[int] = []
    assert ledger(past.log, RULE, progress.append) == Ledger(
        decided=4,
        delivered=2,
        undelivered=1,
        pending=1,
        decisions_damaged=0,
        decisions_erased=0,
        decisions_expired=0,
        deliveries=4,
        deliveries_joined=2,
        deliveries_unmatched=1,
        deliveries_duplicate=1,
        deliveries_damaged=0,
        deliveries_erased=0,
        deliveries_expired=0,
        rewards=7,
        joined=3,
        early=1,
        late=1,
        unmatched=1,
        duplicate=1,
        rewards_damaged=0,
        rewards_erased=0,
        rewards_expired=0,
        contacts=0,
        contacts_confirmed=0,
        contacts_released=0,
        contacts_open=0,
        contacts_damaged=0,
        contacts_erased=0,
        contacts_expired=0,
    )
    assert counted(past).balanced
    assert sum(progress) == 4


@settings(deadline=None, max_examples=25)
@given(
    acts=st.lists(
        st.tuples(
            st.sampled_from(["decide", "deliver", "reward"]), st.integers(0, 5), st.booleans()
        ),
        max_size=25,
    )
)
def test_any_log_is_balanced(
    acts: list[tuple[str, int, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever comes in, in whatever order, repeated or of strangers."""
    with history(tmp_path_factory.mktemp("log") / "data") as past:
        decisions = [orphan(past)]
        for act, which, odd in acts:
            decision = decisions[which % len(decisions)]
            if act == "decide":
                decisions.append(past.decide())
            elif act == "deliver":
                past.deliver(decision, delivery_id="same" if odd else "")
            else:
                past.reward(decision, reward_id="same" if odd else "", after_ms=which * 3 * DAY_MS)
        found = counted(past)
    assert found.balanced
    assert found.decided == len(decisions) - 1
    assert found.deliveries == sum(act == "deliver" for act, _, _ in acts)


@pytest.fixture
def full(past: History) -> History:
    """A log of three delivered decisions with a reward each."""
    for _ in range(3):
        decision = past.decide(eligible_offers=("loyal",), request_id=str(past.clock.now_ms))
        past.clock.now_ms += 1
        past.deliver(decision, delivery_id="d")
        past.reward(decision, reward_id="r")
    assert counted(past).balanced
    return past


def some_id(past: History) -> bytes:
    """The id of a decision in the middle of the log."""
    return [logged.decision.decision_id for logged in past.log.scan()][1]


def test_a_deleted_decision_is_missed(full: History) -> None:
    """What was reported on it is unmatched then, but it was decided, and is not there."""
    full.delete(Table.DECISIONS, some_id(full))
    found = counted(full)
    assert not found.balanced
    assert (found.decided, found.delivered, found.unmatched) == (3, 2, 1)


def reserved(past: History, status: DeliveryStatus | None = None) -> Decision:
    """A stored decision with a contact, and a report on it if there is to be one."""
    with history(Path(past.log._store.directory) / f"other-{next(past.numbers)}") as other:
        other.clock.now_ms += next(past.numbers)
        decision = other.decide(eligible_offers=("loyal",))
    contact = Contact(decision.decision_id, "loyal", "email", decision.decided_at_ms)
    past.log.record([Proposal(decision, contact=contact)])
    if status is not None:
        past.deliver(decision, status)
    return decision


def test_contacts_are_counted_by_what_was_reported(past: History) -> None:
    """Confirmed if something was sent, released if not, open without a report."""
    for status in (None, None, *DeliveryStatus):
        reserved(past, status)
    found = counted(past)
    assert found.balanced
    assert found.contacts == 6
    assert (found.contacts_confirmed, found.contacts_released, found.contacts_open) == (2, 2, 2)


def test_a_deleted_contact_is_missed(past: History) -> None:
    """Its decision is there, but nothing says any more that it counts."""
    decision = reserved(past)
    past.delete(Table.CONTACTS, decision.decision_id)
    found = counted(past)
    assert not found.balanced
    assert (found.contacts, found.contacts_open) == (1, 0)


def test_a_deleted_delivery_is_missed(full: History) -> None:
    """Its decision looks pending, but a report had come."""
    full.delete(Table.DELIVERIES, report_key(some_id(full), "d"))
    found = counted(full)
    assert not found.balanced
    assert (found.pending, found.deliveries, found.deliveries_joined) == (1, 3, 2)


def test_a_deleted_reward_is_missed(full: History) -> None:
    """It was taken, and is neither joined, late, unmatched nor a duplicate."""
    full.delete(Table.REWARDS, report_key(some_id(full), "r"))
    found = counted(full)
    assert not found.balanced
    assert (found.rewards, found.joined) == (3, 2)


def test_a_planted_record_is_noticed(full: History) -> None:
    """A decision that nobody decided is one too many."""
    full.overwrite(orphan(full))
    found = counted(full)
    assert not found.balanced
    assert (found.decided, found.delivered + found.pending) == (3, 4)
