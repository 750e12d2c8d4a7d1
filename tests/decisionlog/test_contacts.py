"""What counts for a subject: the report that decides, what it makes of a contact, the bounds."""

from dataclasses import replace
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisionlog.contacts import (
    STANDING_DAYS,
    STANDING_LENGTH_MAX,
    Contact,
    Reservation,
    Response,
    Standing,
    bounded,
    precedence,
    with_contact,
    with_response,
)
from decisionlog.records import Delivery, DeliveryStatus
from tests.decisionlog import samples
from tests.decisionlog.samples import CONTACT, DECISION, DELIVERY, decision_id

SENT, FAILED, SUPPRESSED, OVERRIDDEN = DeliveryStatus
DAY_MS = 86_400_000
NOW_MS = 1_760_000_000_000
DECIDED = Reservation(DECISION.decision_id, DECISION.subject, CONTACT)
NOTHING_DECIDED = replace(DECIDED, contact=None)

few_times_ms = st.integers(1, 3)
reports = st.lists(
    st.builds(
        lambda delivery, occurred, received: replace(
            delivery, occurred_at_ms=occurred, received_at_ms=received
        ),
        samples.deliveries,
        few_times_ms,
        few_times_ms,
    ),
    max_size=5,
    unique_by=lambda each: each.delivery_id,
)


def report(status: DeliveryStatus, at_ms: int = 1) -> Delivery:
    """Return a report on the sample decision."""
    name = f"{status.name}-{at_ms}"
    return replace(
        DELIVERY, delivery_id=name, status=status, occurred_at_ms=at_ms, received_at_ms=at_ms
    )


def after(reservation: Reservation, *told: Delivery) -> Reservation:
    """Return a reservation after reports, in the order given."""
    for each in told:
        reservation = reservation.reported(each)
    return reservation


@given(reports, st.randoms(use_true_random=False))
def test_order_and_repetition_of_reports_do_not_matter(
    told: list[Delivery], shuffled: Random
) -> None:
    """Reports in any order, any of them repeatedly, leave the same reservation."""
    again = [*told, *told[:2]]
    shuffled.shuffle(again)
    assert after(DECIDED, *again) == after(DECIDED, *told)


@given(reports)
def test_the_report_that_occurred_last_decides(told: list[Delivery]) -> None:
    """No other report is above the one in force, which is one of them without its remark."""
    found = after(DECIDED, *told).report
    if not told:
        assert found is None
        return
    last = max(told, key=precedence)
    assert found == replace(last, detail="")
    assert all(each.occurred_at_ms <= last.occurred_at_ms for each in told)


def test_sent_confirms_and_failed_releases() -> None:
    """A contact counts from its decision on, confirmed once it was sent, not if it was not."""
    assert DECIDED.in_force == CONTACT
    assert after(DECIDED, report(SENT)).in_force == replace(CONTACT, confirmed=True)
    assert after(DECIDED, report(FAILED)).in_force is None
    assert after(DECIDED, report(SUPPRESSED)).in_force is None


def test_a_contact_that_failed_and_was_sent_later_counts_again() -> None:
    """The last attempt decides, also if its report comes first."""
    tries = [report(FAILED, 1), report(SENT, 2), report(FAILED, 3), report(SENT, 4)]
    for order in permutations(tries):
        assert after(DECIDED, *order).in_force == replace(CONTACT, confirmed=True)
    assert after(DECIDED, *tries[:3]).in_force is None


def test_of_two_reports_of_one_moment_the_sent_one_decides() -> None:
    """Where times cannot tell, a message is rather counted than sent once too often."""
    for status in (FAILED, SUPPRESSED):
        for told in permutations([report(status), report(SENT)]):
            assert after(DECIDED, *told).in_force == replace(CONTACT, confirmed=True)


def test_what_was_really_sent_counts() -> None:
    """An override charges its own offer, channel and time, in the decided day and hour."""
    assert after(DECIDED, report(OVERRIDDEN)).in_force == Contact(
        DECISION.decision_id,
        "womens",
        "email",
        1_760_000_090_000,
        confirmed=True,
        slots=(("offer", "womens", 739_533, 14), ("channel", "email", 739_533, 14)),
    )


def test_what_an_override_leaves_out_is_as_decided() -> None:
    """An override that names no offer, channel or time changes none of them."""
    silent = replace(report(OVERRIDDEN), actual_offer="", actual_channel="", actual_send_time_ms=0)
    assert after(DECIDED, silent).in_force == replace(CONTACT, confirmed=True)


def test_an_override_of_nothing_counts_too() -> None:
    """What was sent although the decision sent nothing counts, but in no budget's day."""
    assert after(NOTHING_DECIDED, report(OVERRIDDEN)).in_force == Contact(
        DECISION.decision_id, "womens", "email", 1_760_000_090_000, confirmed=True
    )
    untimed = replace(report(OVERRIDDEN, 7), actual_send_time_ms=0)
    found = after(NOTHING_DECIDED, untimed).in_force
    assert found is not None
    assert found.send_time_ms == 7
    nameless = replace(report(OVERRIDDEN), actual_channel="")
    assert after(NOTHING_DECIDED, nameless).in_force is None
    for status in (SENT, FAILED, SUPPRESSED):
        assert after(NOTHING_DECIDED, report(status)).in_force is None


@pytest.mark.parametrize("told", [[], [SENT], [OVERRIDDEN]])
def test_nothing_counts_for_an_unknown_subject(told: list[DeliveryStatus]) -> None:
    """While the decision is not known, its reports count for nobody."""
    unknown = replace(DECIDED, subject=b"")
    assert after(unknown, *map(report, told)).in_force is None


def contact(number: int, send_time_ms: int) -> Contact:
    """Return a contact of a decision."""
    return Contact(decision_id(number), "mens", "push", send_time_ms)


def test_a_standing_is_in_order_of_time() -> None:
    """Contacts stand by their send times, responses by when they happened."""
    standing = Standing()
    for number, time_ms in enumerate([5, 2, 9, 2]):
        now = Reservation(decision_id(number), b"s" * 16, contact(number, time_ms))
        standing = with_contact(standing, now)
        standing = with_response(
            standing, Response(decision_id(number), "click", "mens", "push", time_ms)
        )
    assert [each.send_time_ms for each in standing.contacts] == [2, 2, 5, 9]
    assert [each.occurred_at_ms for each in standing.responses] == [2, 2, 5, 9]


def test_a_decision_counts_once() -> None:
    """A contact takes the place of its earlier state, and a released one goes."""
    others = Standing((contact(1, 1), contact(3, 3)))
    now = Reservation(decision_id(2), b"s" * 16, contact(2, 2))
    told = replace(report(SENT), decision_id=decision_id(2))
    sent = with_contact(with_contact(others, now), now.reported(told))
    assert [each.confirmed for each in sent.contacts] == [False, True, False]
    released = now.reported(replace(told, status=FAILED))
    assert with_contact(sent, released).contacts == others.contacts


def test_responses_name_what_was_really_sent() -> None:
    """An override that comes after its responses renames them; a release leaves them."""
    responses = (
        replace(samples.RESPONSE, decision_id=decision_id(1)),
        samples.RESPONSE,
    )
    standing = Standing((CONTACT,), responses)
    overridden = with_contact(standing, after(DECIDED, report(OVERRIDDEN)))
    assert overridden.responses[0] == responses[0]
    assert (overridden.responses[1].offer, overridden.responses[1].channel) == ("womens", "email")
    assert with_contact(standing, after(DECIDED, report(FAILED))).responses == responses


def test_what_is_older_than_the_documented_days_is_forgotten() -> None:
    """Age is counted from the newest decision: at the limit it stays, a moment later it goes."""
    limit_ms = NOW_MS - STANDING_DAYS * DAY_MS
    newest = contact(NOW_MS, NOW_MS)
    kept, dropped = contact(limit_ms, limit_ms), contact(limit_ms - 1, limit_ms - 1)
    heard = Response(decision_id(1), "click", "mens", "push", limit_ms)
    unheard = replace(heard, occurred_at_ms=limit_ms - 1)
    standing = bounded(Standing((dropped, kept, newest), (unheard, heard)))
    assert standing == Standing((kept, newest), (heard,))


def test_a_wrong_clock_drives_out_nothing() -> None:
    """A report from the far future makes no other contact or response old."""
    real = contact(NOW_MS, NOW_MS)
    forged = contact(NOW_MS, 2**62)
    late = Response(decision_id(NOW_MS), "click", "mens", "push", 2**62)
    heard = replace(late, occurred_at_ms=NOW_MS)
    standing = bounded(Standing((real, forged), (heard, late)))
    assert standing == Standing((real, forged), (heard, late))


def test_the_oldest_of_too_many_go() -> None:
    """Of more contacts or responses than are kept the newest stay."""
    count = STANDING_LENGTH_MAX + 3
    contacts = tuple(contact(number, number) for number in range(count))
    responses = tuple(
        Response(decision_id(number), "click", "mens", "push", number) for number in range(count)
    )
    assert bounded(Standing(contacts, responses)) == Standing(contacts[3:], responses[3:])


@given(samples.standings)
def test_bounding_twice_changes_nothing(standing: Standing) -> None:
    """What is bounded is within the bounds, and in its order."""
    once = bounded(standing)
    assert bounded(once) == once
