"""Counts anew, from all that was decided and reported, what should count: plain and apart."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from decisionlog import (
    BudgetKey,
    BudgetSlot,
    Contact,
    DecisionLog,
    Delivery,
    DeliveryStatus,
    Reservation,
    Response,
    Standing,
)
from decisionlog.contact_codec import decode_reservation
from decisionlog.contacts import HOURS
from decisionlog.scan import rows_of
from decisionlog.tables import Table


def reservations(log: DecisionLog, slice_size: int = 1000) -> list[Reservation]:
    """Return what each decision reserved, in the order of their ids."""
    rows = rows_of(log.store, Table.CONTACTS, decode_reservation, slice_size=slice_size)
    return list(rows)


_IS_SENT = {DeliveryStatus.SENT, DeliveryStatus.OVERRIDDEN}


def last_of(deliveries: Iterable[Delivery]) -> Delivery | None:
    """Return the report that decides: in the end what occurred last, see docs/operations.md."""
    ordered = sorted(
        deliveries,
        key=lambda each: (
            each.occurred_at_ms,
            each.received_at_ms,
            each.status in _IS_SENT,
            each.delivery_id,
        ),
    )
    return ordered[-1] if ordered else None


def counting(
    decision_id: bytes, decided: Contact | None, deliveries: Iterable[Delivery]
) -> Contact | None:
    """Return the contact of a decision as it counts after all its reports."""
    last = last_of(deliveries)
    if last is None:
        return decided
    if last.status == DeliveryStatus.OVERRIDDEN:
        return _overridden(decision_id, decided, last)
    if last.status == DeliveryStatus.SENT and decided is not None:
        return replace(decided, confirmed=True)
    return None


def _overridden(decision_id: bytes, decided: Contact | None, report: Delivery) -> Contact | None:
    if decided is None and not report.actual_channel:
        return None
    was = decided or Contact(decision_id, "", "", report.occurred_at_ms)
    offer, channel = report.actual_offer or was.offer, report.actual_channel or was.channel
    slots: list[BudgetSlot] = [
        (kind, offer if kind == "offer" else channel, day, hour) for kind, _, day, hour in was.slots
    ]
    time_ms = report.actual_send_time_ms or was.send_time_ms
    return Contact(decision_id, offer, channel, time_ms, confirmed=True, slots=tuple(slots))


def ordered(contacts: Iterable[Contact], responses: Iterable[Response]) -> Standing:
    """Return a standing in its order; standings have no slots."""
    bare = [replace(each, slots=()) for each in contacts]
    return Standing(
        tuple(sorted(bare, key=lambda each: (each.send_time_ms, each.decision_id))),
        tuple(
            sorted(responses, key=lambda each: (each.occurred_at_ms, each.decision_id, each.name))
        ),
    )


def spent_by(contacts: Iterable[Contact]) -> dict[BudgetKey, tuple[int, ...]]:
    """Return the budgets' days that contacts count in, by hour."""
    slots = Counter(slot for contact in contacts for slot in contact.slots)
    days: set[BudgetKey] = {(kind, name, day) for kind, name, day, _ in slots}
    return {day: tuple(slots[(*day, hour)] for hour in range(HOURS)) for day in days}


def assert_what_counts_is_what_happened(
    log: DecisionLog, listened: frozenset[str] = frozenset()
) -> Mapping[bytes, Standing]:
    """Check a log's standings and budgets against its decisions, deliveries and rewards.

    Args:
        log: Nobody writes to it; no reward in it came before its decision.
        listened: The names under which all its rewards were reported.

    Returns:
        The standings, by subject.
    """
    decided = {each.decision_id: each.contact for each in reservations(log)}
    contacts: defaultdict[bytes, list[Contact]] = defaultdict(list)
    responses: defaultdict[bytes, list[Response]] = defaultdict(list)
    for logged in log.scan():
        decision_id, subject = logged.decision.decision_id, logged.decision.subject
        planned = decided.get(decision_id)
        counts = counting(decision_id, planned, logged.deliveries)
        contacts[subject] += [] if counts is None else [counts]
        named = counts or planned
        for reward in logged.rewards:
            if reward.name in listened and named is not None:
                at_ms = min(reward.occurred_at_ms, reward.received_at_ms)
                heard = (reward.name, named.offer, named.channel, at_ms)
                responses[subject].append(Response(decision_id, *heard))
    standings = {each: ordered(contacts[each], responses[each]) for each in contacts}
    assert {subject: log.standing(subject) for subject in standings} == standings
    spent = spent_by(contact for each in contacts.values() for contact in each)
    assert log.spent(spent) == spent
    return standings
