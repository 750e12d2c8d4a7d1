"""Contacts in a real log: admitted, counted, confirmed, released, and heard."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from decisionlog import (
    AdmissionFailed,
    AuditEntry,
    AuditKind,
    Contact,
    ContactRefused,
    DamagedRecord,
    Decision,
    DecisionLog,
    Delivery,
    DeliveryStatus,
    InvalidRecord,
    Proposal,
    ReportOutcome,
    RequestIdReused,
    Response,
    Reward,
    Spent,
    Standing,
)
from decisionlog.contacts import HOURS
from decisionlog.operations import AGAIN_MAX
from decisionlog.store import Store
from decisionlog.tables import ADDED_LATER, Table, budget_key
from tests.decisionlog.recount import reservations
from tests.decisionlog.samples import (
    CONTACT,
    DECISION,
    DELIVERY,
    KEYS,
    MAP_SIZE_BYTES,
    REWARD,
    decision_id,
)
from tests.decisionlog.test_scan import flip

SENT, FAILED, SUPPRESSED, OVERRIDDEN = DeliveryStatus
ACCEPTED, REPEATED, UNMATCHED = ReportOutcome
SUBJECT = DECISION.subject
REQUEST = b"r" * 16
DAY = 739_533
OFFER, CHANNEL = ("offer", "mens", DAY), ("channel", "push", DAY)
OTHER_CHANNEL = ("channel", "email", DAY)
CLICKS = frozenset({"click"})


def open_log(directory: Path, *, read_only: bool = False) -> DecisionLog:
    """Open a log with a small map."""
    return DecisionLog.open(
        directory, keys=KEYS, read_only=read_only, map_size_bytes=MAP_SIZE_BYTES
    )


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DecisionLog]:
    """Yield an empty log."""
    with open_log(tmp_path) as opened:
        yield opened


def decision(number: int) -> Decision:
    """Return a decision for the one subject."""
    return replace(DECISION, decision_id=decision_id(number))


def contact(number: int) -> Contact:
    """Return the contact of a decision."""
    return replace(CONTACT, decision_id=decision_id(number), send_time_ms=1_000 + number)


def counted(number: int) -> Contact:
    """Return the contact of a decision as it stands in a standing."""
    return replace(contact(number), slots=())


def proposal(number: int, **options: object) -> Proposal:
    """Return a decision with its contact, which asks for the budgets that it is charged to."""
    given = {"contact": contact(number), "budgets": (OFFER, CHANNEL), **options}
    return Proposal(decision(number), **given)  # type: ignore[arg-type]


def report(number: int, status: DeliveryStatus, at_ms: int = 1) -> Delivery:
    """Return a report on a decision."""
    return replace(
        DELIVERY,
        decision_id=decision_id(number),
        delivery_id=f"{status.name}-{at_ms}",
        status=status,
        occurred_at_ms=at_ms,
        received_at_ms=at_ms,
    )


def click(number: int, name: str = "click") -> Reward:
    """Return a reward of a decision."""
    return replace(REWARD, decision_id=decision_id(number), reward_id=name, name=name)


class AtMost:
    """A rule that a subject gets so many contacts; it remembers what it was told."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.told: list[tuple[Standing, Spent]] = []

    def __call__(self, standing: Standing, spent: Spent) -> bool:
        """Tell whether there is room for one more."""
        self.told.append((standing, spent))
        return len(standing.contacts) < self.limit


def at_14(count: int) -> tuple[int, ...]:
    """Return a budget's day with messages in its hour 14 only."""
    return tuple(count if hour == 14 else 0 for hour in range(HOURS))


def test_a_contact_counts_from_its_decision_on(log: DecisionLog) -> None:
    """The decision, its place in the standing and its budgets are stored together."""
    assert log.record([proposal(1)]) == [decision(1)]
    assert log.standing(SUBJECT) == Standing((counted(1),))
    assert log.spent([OFFER, CHANNEL, OTHER_CHANNEL]) == {
        OFFER: at_14(1),
        CHANNEL: at_14(1),
        OTHER_CHANNEL: at_14(0),
    }
    assert log.standing_and_spent(SUBJECT, [OFFER]) == (
        Standing((counted(1),)),
        {OFFER: at_14(1)},
    )


def test_nobody_is_known_at_first(log: DecisionLog) -> None:
    """A subject without contacts has an empty standing; one who was not sent anything as well."""
    assert log.standing(SUBJECT) == Standing()
    log.record([Proposal(decision(1))])
    assert log.standing(SUBJECT) == Standing()
    assert reservations(log) == []


def test_subjects_are_kept_apart(log: DecisionLog) -> None:
    """A contact counts for its own subject only."""
    other = replace(decision(2), subject=b"t" * 16)
    log.record([proposal(1), Proposal(other, contact=contact(2))])
    assert log.standing(SUBJECT).contacts == (counted(1),)
    assert log.standing(b"t" * 16).contacts == (counted(2),)
    assert log.spent([CHANNEL]) == {CHANNEL: at_14(2)}


def test_admission_sees_what_is_true_in_the_transaction(log: DecisionLog) -> None:
    """Each proposal of a batch is asked with what those before it have reserved."""
    cap = AtMost(2)
    first, second, third = log.record([proposal(n, admit=cap) for n in (1, 2, 3)])
    assert (first, second) == (decision(1), decision(2))
    assert isinstance(third, ContactRefused)
    assert third.decision_id == decision_id(3)
    assert [len(standing.contacts) for standing, _ in cap.told] == [0, 1, 2]
    assert [spent for _, spent in cap.told] == [
        {OFFER: at_14(count), CHANNEL: at_14(count)} for count in range(3)
    ]


def test_nothing_of_a_refused_proposal_is_stored(log: DecisionLog) -> None:
    """A refusal leaves no decision, request, contact, budget or audit entry, and may try again."""
    (refused,) = log.record([proposal(1, request_key=REQUEST, admit=AtMost(0), audit=("cap",))])
    assert isinstance(refused, ContactRefused)
    assert (log.counts().decisions, log.counts().requests) == (0, 0)
    assert log.standing(SUBJECT) == Standing()
    assert log.spent([CHANNEL]) == {CHANNEL: at_14(0)}
    assert (reservations(log), list(log.audit_trail())) == ([], [])
    assert log.record([proposal(1, request_key=REQUEST, admit=AtMost(1))]) == [decision(1)]


def test_a_failing_admission_fails_its_own_proposal_only(log: DecisionLog) -> None:
    """What `admit` raises is the cause of its proposal's error; the batch goes on."""

    def admit(_: Standing, __: Spent) -> bool:
        raise ZeroDivisionError("a rule of nothing")

    before, failed, after = log.record([proposal(1), proposal(2, admit=admit), proposal(3)])
    assert (before, after) == (decision(1), decision(3))
    assert isinstance(failed, AdmissionFailed)
    assert isinstance(failed.__cause__, ZeroDivisionError)
    assert log.decision(decision_id(2)) is None
    assert log.standing(SUBJECT).contacts == (counted(1), counted(3))


def unsent(number: int) -> Decision:
    """Return a decision with the same id that sends nothing."""
    return replace(decision(number), no_send_reason=2, stages=())


def test_what_is_not_admitted_is_made_again_from_what_is_true(log: DecisionLog) -> None:
    """It is told what those before it reserved, and what it makes takes the refused one's place."""
    told: list[tuple[Standing, Spent]] = []

    def again(standing: Standing, spent: Spent) -> Proposal:
        told.append((standing, spent))
        return Proposal(unsent(2), REQUEST, audit=("cap",))

    offered = [proposal(1), proposal(2, request_key=REQUEST, admit=AtMost(1), again=again)]
    assert log.record(offered) == [decision(1), unsent(2)]
    assert told == [(Standing((counted(1),)), {OFFER: at_14(1), CHANNEL: at_14(1)})]
    assert log.find_request(REQUEST) == log.decision(decision_id(2)) == unsent(2)
    assert log.standing(SUBJECT).contacts == (counted(1),)
    assert [entry.bypassed for entry in log.audit_trail()] == [("cap",)]


def test_what_is_made_again_needs_no_leave(log: DecisionLog) -> None:
    """It was made from what is true: nobody is asked once more, whatever the answer would be."""
    cap = AtMost(0)
    offered = proposal(1, admit=cap, again=lambda *_: proposal(1, admit=cap))
    assert log.record([offered]) == [decision(1)]
    assert len(cap.told) == 1


def test_few_of_a_call_are_made_again(log: DecisionLog) -> None:
    """The rest that ask are refused unasked: what was chosen after what is open has to wait too."""
    admitted = AtMost(64)
    offered = [
        proposal(number, admit=AtMost(0), again=lambda *_, number=number: proposal(number))
        for number in range(AGAIN_MAX + 1)
    ]
    offered += [proposal(100, admit=admitted), proposal(101)]
    results = log.record(offered)
    assert results[:AGAIN_MAX] == [decision(number) for number in range(AGAIN_MAX)]
    assert [type(each) for each in results[AGAIN_MAX:-1]] == [ContactRefused] * 2
    assert results[-1] == decision(101)
    assert admitted.told == []


def test_a_failing_second_choice_fails_its_own_proposal_only(log: DecisionLog) -> None:
    """What `again` raises, or makes that has no stored form, is told; the batch goes on."""

    def again(_: Standing, __: Spent) -> Proposal:
        raise ZeroDivisionError("a rule of nothing")

    failed, invalid, after = log.record(
        [
            proposal(1, admit=AtMost(0), again=again),
            proposal(2, admit=AtMost(0), again=lambda *_: proposal(2, contact=contact(3))),
            proposal(4),
        ]
    )
    assert isinstance(failed, AdmissionFailed)
    assert isinstance(failed.__cause__, ZeroDivisionError)
    assert isinstance(invalid, InvalidRecord)
    assert after == decision(4)
    assert log.counts().decisions == 1


def test_a_repeated_request_asks_nobody(log: DecisionLog) -> None:
    """An answered request gets its answer again, a misused id its error; no rule is asked."""
    cap = AtMost(1)
    log.record([proposal(1, request_key=REQUEST, admit=cap)])
    misuse = replace(decision(3), request_digest=b"e" * 16)
    repeat, misused, again = log.record(
        [
            proposal(2, request_key=REQUEST, admit=cap),
            Proposal(misuse, REQUEST, contact(3), cap),
            proposal(1, admit=cap),
        ]
    )
    assert (repeat, again) == (decision(1), decision(1))
    assert isinstance(misused, RequestIdReused)
    assert len(cap.told) == 1
    assert log.standing(SUBJECT).contacts == (counted(1),)
    assert log.spent([CHANNEL]) == {CHANNEL: at_14(1)}


def test_admission_is_asked_without_a_contact_too(log: DecisionLog) -> None:
    """A decision that sends nothing may ask as well; no budget is named to it."""
    cap = AtMost(1)
    assert log.record([Proposal(decision(1), admit=cap)]) == [decision(1)]
    assert cap.told == [(Standing(), {})]


def test_a_contact_of_another_decision_is_refused(log: DecisionLog) -> None:
    """A proposal whose parts do not fit together is the caller's fault and disturbs no other."""
    wrong, right = log.record([Proposal(decision(1), contact=contact(2)), proposal(3)])
    assert isinstance(wrong, InvalidRecord)
    assert right == decision(3)
    assert log.counts().decisions == 1


def test_a_cap_of_three_holds_against_many_at_once(log: DecisionLog) -> None:
    """Of 64 concurrent decisions for one subject with a cap of 3 exactly 3 are stored."""
    offers = [proposal(number, admit=AtMost(3)) for number in range(64)]
    with ThreadPoolExecutor(32) as pool:
        results = [result for (result,) in pool.map(lambda each: log.record([each]), offers)]
    assert sum(isinstance(result, Decision) for result in results) == 3
    assert sum(isinstance(result, ContactRefused) for result in results) == 61
    assert len(log.standing(SUBJECT).contacts) == log.counts().decisions == 3
    assert log.spent([OFFER]) == {OFFER: at_14(3)}


def test_a_report_confirms_or_releases(log: DecisionLog) -> None:
    """SENT keeps the contact and its budget, FAILED and SUPPRESSED give both back."""
    log.record([proposal(number) for number in (1, 2, 3)])
    reports = [report(1, SENT), report(2, FAILED), report(3, SUPPRESSED)]
    assert log.report_deliveries(reports) == [ACCEPTED] * 3
    assert log.standing(SUBJECT).contacts == (replace(counted(1), confirmed=True),)
    assert log.spent([CHANNEL]) == {CHANNEL: at_14(1)}


def test_a_release_makes_room(log: DecisionLog) -> None:
    """What a failed message had reserved, the next decision may use."""
    cap = AtMost(1)
    log.record([proposal(1, admit=cap)])
    log.report_deliveries([report(1, FAILED)])
    assert log.record([proposal(2, admit=cap)]) == [decision(2)]


def test_the_last_report_decides_and_repeats_change_nothing(log: DecisionLog) -> None:
    """A later SENT reserves again, a FAILED from before it comes too late, repeats do nothing."""
    log.record([proposal(1)])
    reports = [report(1, FAILED, 5), report(1, SENT, 7), report(1, FAILED, 6), report(1, SENT, 7)]
    assert log.report_deliveries(reports) == [ACCEPTED, ACCEPTED, ACCEPTED, REPEATED]
    assert log.standing(SUBJECT).contacts == (replace(counted(1), confirmed=True),)
    assert log.spent([OFFER]) == {OFFER: at_14(1)}


def test_an_override_charges_what_was_really_sent(log: DecisionLog) -> None:
    """Contact and budgets move to the other offer and channel, and back if it failed after all."""
    log.record([proposal(1)])
    log.report_deliveries([report(1, OVERRIDDEN, 5)])
    (moved,) = log.standing(SUBJECT).contacts
    assert (moved.offer, moved.channel, moved.confirmed) == ("womens", "email", True)
    assert moved.send_time_ms == DELIVERY.actual_send_time_ms
    assert log.spent([CHANNEL, OTHER_CHANNEL]) == {
        CHANNEL: at_14(0),
        OTHER_CHANNEL: at_14(1),
    }
    log.report_deliveries([report(1, FAILED, 6)])
    assert log.standing(SUBJECT) == Standing()
    assert log.spent([CHANNEL, OTHER_CHANNEL]) == {CHANNEL: at_14(0), OTHER_CHANNEL: at_14(0)}


def test_an_override_of_a_decision_to_send_nothing_counts(log: DecisionLog) -> None:
    """What somebody sent by hand is a contact of the subject."""
    log.record([Proposal(decision(1))])
    log.report_deliveries([report(1, OVERRIDDEN)])
    (sent,) = log.standing(SUBJECT).contacts
    assert (sent.decision_id, sent.offer, sent.slots) == (decision_id(1), "womens", ())


@pytest.mark.parametrize("status", DeliveryStatus)
@pytest.mark.parametrize("is_sent", [True, False])
def test_a_report_may_come_before_its_decision(
    tmp_path: Path,
    status: DeliveryStatus,
    is_sent: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Whichever comes first, decision or report, the same counts in the end."""
    offered = proposal(1) if is_sent else Proposal(decision(1))
    found = []
    for order in ("decision", "report"):
        with open_log(tmp_path / order) as log:
            if order == "report":
                assert log.report_deliveries([report(1, status)]) == [UNMATCHED]
            log.record([offered])
            log.report_deliveries([report(1, status)])
            found.append((log.standing(SUBJECT), log.spent([CHANNEL, OTHER_CHANNEL])))
            found.append(reservations(log))  # type: ignore[arg-type]
    assert found[:2] == found[2:]


def test_rewards_that_are_listened_to_become_responses(log: DecisionLog) -> None:
    """A listened reward on a contact is a response, once; others are only stored."""
    log.record([proposal(1), Proposal(decision(2))])
    rewards = [click(1), click(1), click(1, "spend"), click(2), click(9)]
    assert log.report_rewards(rewards, CLICKS) == [
        ACCEPTED,
        REPEATED,
        ACCEPTED,
        ACCEPTED,
        UNMATCHED,
    ]
    heard = Response(decision_id(1), "click", "mens", "push", REWARD.occurred_at_ms)
    assert log.standing(SUBJECT) == Standing((counted(1),), (heard,))
    log.report_rewards([click(1, "other")])
    assert log.standing(SUBJECT).responses == (heard,)


def test_a_response_is_never_of_the_future(log: DecisionLog) -> None:
    """A caller's clock that is years ahead must not hold a pause open for years."""
    log.record([proposal(1)])
    ahead = replace(click(1), occurred_at_ms=REWARD.received_at_ms + 10**12)
    assert log.report_rewards([ahead], CLICKS) == [ACCEPTED]
    (heard,) = log.standing(SUBJECT).responses
    assert heard.occurred_at_ms == ahead.received_at_ms


def test_responses_outlive_the_release_of_their_contact(log: DecisionLog) -> None:
    """Who unsubscribes is heard, also where the message is said to have failed."""
    log.record([proposal(1)])
    log.report_deliveries([report(1, FAILED)])
    log.report_rewards([click(1)], CLICKS)
    standing = log.standing(SUBJECT)
    assert standing.contacts == ()
    assert [(each.offer, each.channel) for each in standing.responses] == [("mens", "push")]


def test_responses_name_what_was_really_sent(log: DecisionLog) -> None:
    """Whether the override or the reward comes first, the response names the override's channel."""
    log.record([proposal(1), proposal(2)])
    log.report_rewards([click(1)], CLICKS)
    log.report_deliveries([report(1, OVERRIDDEN), report(2, OVERRIDDEN)])
    log.report_rewards([click(2)], CLICKS)
    responses = log.standing(SUBJECT).responses
    assert [(each.offer, each.channel) for each in responses] == [("womens", "email")] * 2


def test_what_critical_requests_bypass_is_audited(log: DecisionLog) -> None:
    """The trail holds each critical decision that is stored, in order of time, within bounds."""
    bypassed = ("cap", "quiet_hours")
    log.record([proposal(5, audit=bypassed), proposal(3, audit=("cap",)), proposal(4)])
    log.record([proposal(5, audit=bypassed)])
    entries = [
        AuditEntry(decision_id(3), AuditKind.CRITICAL, decision_id(3), ("cap",)),
        AuditEntry(decision_id(5), AuditKind.CRITICAL, decision_id(5), bypassed),
    ]
    assert list(log.audit_trail(slice_size=1)) == entries
    assert [each.occurred_at_ms for each in entries] == [3, 5]
    assert list(log.audit_trail(start=decision_id(4))) == entries[1:]
    assert list(log.audit_trail(until=decision_id(5))) == entries[:1]


def test_what_counts_is_there_after_a_restart(tmp_path: Path) -> None:
    """Standings, budgets, reservations and audit entries are on disk with their decisions."""
    with open_log(tmp_path) as log:
        log.record([proposal(1, audit=("cap",))])
        log.report_rewards([click(1)], CLICKS)
        before = log.standing_and_spent(SUBJECT, [OFFER])
    with open_log(tmp_path, read_only=True) as log:
        assert log.standing_and_spent(SUBJECT, [OFFER]) == before
        assert len(reservations(log)) == len(list(log.audit_trail())) == 1


def drop_later_tables(directory: Path) -> None:
    """Make a log as the first version wrote it."""
    with Store(directory, map_size_bytes=MAP_SIZE_BYTES) as store, store.write() as rows:
        store.open_tables(rows)
        for table in ADDED_LATER:
            rows._transaction.drop(store.tables[table])


def test_an_older_log_is_read_and_written(tmp_path: Path) -> None:
    """To a reader the tables that it lacks are empty; the first writer makes them."""
    with open_log(tmp_path) as log:
        log.record([proposal(1, request_key=REQUEST)])
    drop_later_tables(tmp_path)
    with open_log(tmp_path, read_only=True) as log:
        assert log.find_request(REQUEST) == decision(1)
        assert log.standing(SUBJECT) == Standing()
        assert log.spent([OFFER]) == {OFFER: at_14(0)}
        assert (reservations(log), list(log.audit_trail())) == ([], [])
    with open_log(tmp_path) as log:
        assert log.record([proposal(2, admit=AtMost(1))]) == [decision(2)]
        assert log.standing(SUBJECT).contacts == (counted(2),)
        assert log.report_deliveries([report(1, FAILED)]) == [ACCEPTED]
        assert log.standing(SUBJECT).contacts == (counted(2),)


@pytest.mark.parametrize(
    ("table", "key"),
    [
        (Table.CONTACTS, decision_id(1)),
        (Table.STANDINGS, SUBJECT),
        (Table.BUDGETS, budget_key(*CHANNEL)),
    ],
)
def test_damage_stores_nothing_of_what_depends_on_it(
    tmp_path: Path, table: Table, key: bytes
) -> None:
    """A report that needs a damaged row gets an error and is not half-written; others go on."""
    with open_log(tmp_path) as log:
        log.record([proposal(1), proposal(2)])
        log.report_deliveries([report(2, SENT)])
    with Store(tmp_path, map_size_bytes=MAP_SIZE_BYTES) as store:
        flip(store, table, key)
    with open_log(tmp_path) as log:
        failed, repeated = log.report_deliveries([report(1, FAILED), report(2, SENT)])
        assert isinstance(failed, DamagedRecord)
        assert (failed.table, failed.key) == (table, key)
        assert repeated is REPEATED
        assert log.counts().deliveries == 1
        assert log.report_rewards([click(1)]) == [ACCEPTED]
        if table is not Table.CONTACTS:
            (refused,) = log.record([proposal(3)])
            assert isinstance(refused, DamagedRecord)
        assert log.counts().decisions == 2
