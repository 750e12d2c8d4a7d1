"""What counts for subjects and budgets, kept inside the transaction in which it changes.

Every function reads all it needs before it writes anything: what is damaged leaves nothing
half-written, and the rest of its batch goes on.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from decisionlog.codec import decode_subject
from decisionlog.contact_codec import (
    decode_budget,
    decode_reservation,
    decode_standing,
    encode_audit,
    encode_budget,
    encode_reservation,
    encode_standing,
)
from decisionlog.contacts import (
    HOURS,
    Admit,
    Again,
    AuditEntry,
    AuditKind,
    BudgetKey,
    BudgetSlot,
    Contact,
    Proposal,
    Reservation,
    Response,
    Spent,
    Standing,
    with_contact,
    with_response,
)
from decisionlog.drafts import Draft, Lookup
from decisionlog.errors import AdmissionFailed, ContactRefused
from decisionlog.records import Decision, Delivery, Reward
from decisionlog.tables import Counter, Table, budget_key

_NOTHING_SENT = (0,) * HOURS
_Write = tuple[Table, bytes, bytes]


@dataclass(frozen=True, slots=True)
class NewContact:
    """What a proposal asks for beside its decision, ready to be written."""

    reservation: Reservation
    value: bytes
    """Stored form of the reservation, as it is unless a report came first; empty if there is no
    contact."""
    admit: Admit | None
    budgets: tuple[BudgetKey, ...]
    """The days that `admit` is told of."""
    audit_value: bytes | None
    """Stored form of the entry in the audit trail, if there is to be one."""


def new_contact(proposal: Proposal) -> NewContact | None:
    """Encode what a proposal asks for beside its decision; None if that is nothing.

    Raises:
        InvalidRecord: It has no stored form.
    """
    if proposal.contact is None and proposal.admit is None and not proposal.audit:
        return None
    decision = proposal.decision
    reservation = Reservation(decision.decision_id, decision.subject, proposal.contact)
    value = b"" if proposal.contact is None else encode_reservation(reservation)
    return NewContact(reservation, value, proposal.admit, proposal.budgets, _audit_value(proposal))


def _audit_value(proposal: Proposal) -> bytes | None:
    if not proposal.audit:
        return None
    decision_id = proposal.decision.decision_id
    return encode_audit(AuditEntry(decision_id, AuditKind.CRITICAL, decision_id, proposal.audit))


def read_standing(rows: Lookup, subject: bytes) -> Standing:
    """Return what counts for a subject; empty if nothing does.

    Args:
        rows: A transaction.
        subject: 16 bytes, from `Keys.pseudonym`.

    Raises:
        DamagedRecord: It is not what was written.
    """
    value = rows.get(Table.STANDINGS, subject)
    return Standing() if value is None else decode_standing(subject, value)


def read_spent(rows: Lookup, budgets: Iterable[BudgetKey]) -> Spent:
    """Return what was sent on days of budgets, for each of them by hour.

    Raises:
        DamagedRecord: A day is not what was written.
    """
    return {budget: _sent(rows, budget) for budget in budgets}


def _sent(rows: Lookup, budget: BudgetKey) -> tuple[int, ...]:
    value = rows.get(Table.BUDGETS, budget_key(*budget))
    return _NOTHING_SENT if value is None else decode_budget(budget, value)


def reserve(
    draft: Draft, decision: Decision, new: NewContact | None, early: Reservation | None
) -> None:
    """Ask whether a new decision's contact may be made, and count it.

    Args:
        draft: Where to read and write.
        decision: Not stored before.
        new: What it asks for beside, None if that is nothing.
        early: What reports that came before it have left, see `read_reservation`; they count from
            now on.

    Raises:
        ContactRefused: It may not; nothing was written.
        AdmissionFailed: Asking failed; nothing was written.
        DamagedRecord: What is there cannot be read; nothing was written.
    """
    if new is not None:
        _reserve(draft, new, early)
    elif early is not None:
        after = replace(early, subject=decision.subject)
        standing = read_standing(draft, after.subject)
        _settle(draft, standing, early, after, encode_reservation(after))


def _reserve(draft: Draft, new: NewContact, early: Reservation | None) -> None:
    reservation, value = new.reservation, new.value
    standing = read_standing(draft, reservation.subject)
    if new.admit is not None:
        _ask(draft, new, new.admit, standing)
    if early is not None:
        reservation = replace(reservation, report=early.report)
        value = encode_reservation(reservation)
    if early is not None or reservation.contact is not None:
        _settle(draft, standing, early, reservation, value)
    if reservation.contact is not None:
        draft.tally(Counter.CONTACTS)
    if new.audit_value is not None:
        draft.put(Table.AUDIT, reservation.decision_id, new.audit_value)


def _ask(draft: Draft, new: NewContact, admit: Admit, standing: Standing) -> None:
    decision_id, spent = new.reservation.decision_id, read_spent(draft, new.budgets)
    try:
        is_admitted = admit(standing, spent)
    except Exception as error:
        raise AdmissionFailed(decision_id) from error
    if not is_admitted:
        raise ContactRefused(decision_id)


def proposed_again(rows: Lookup, proposal: Proposal, again: Again) -> Proposal:
    """Return what takes the place of a refused proposal; it needs no leave any more.

    Raises:
        AdmissionFailed: Making it failed.
        DamagedRecord: What is there cannot be read.
    """
    decision = proposal.decision
    now = read_standing(rows, decision.subject), read_spent(rows, proposal.budgets)
    try:
        return replace(again(*now), admit=None, again=None)
    except Exception as error:
        raise AdmissionFailed(decision.decision_id) from error


def follow_delivery(draft: Draft, report: Delivery, decision: bytes | None) -> None:
    """Let a contact be confirmed, released or changed by a new report.

    Args:
        draft: Where to read and write.
        report: Not stored before.
        decision: Stored form of the decision it is about, None if it is not known.

    Raises:
        DamagedRecord: What is there cannot be read; nothing was written.
    """
    decision_id = report.decision_id
    before = read_reservation(draft, decision_id) or Reservation(decision_id, b"")
    after = before.reported(report)
    if not after.subject and decision is not None:
        after = replace(after, subject=decode_subject(decision_id, decision))
    if after == before:
        return
    standing = read_standing(draft, after.subject) if after.subject else Standing()
    _settle(draft, standing, before, after, encode_reservation(after))


def follow_reward(draft: Draft, reward: Reward) -> None:
    """Let a new reward become a response, if its decision has a contact.

    One that comes before its decision never does: nothing is reserved yet.

    Raises:
        DamagedRecord: What is there cannot be read; nothing was written.
    """
    reservation = read_reservation(draft, reward.decision_id)
    contact = None if reservation is None else reservation.named
    if reservation is None or contact is None:
        return
    subject = reservation.subject
    # What a caller's clock dates in the future is of now: no pause may last until then.
    at_ms = min(reward.occurred_at_ms, reward.received_at_ms)
    response = Response(reward.decision_id, reward.name, contact.offer, contact.channel, at_ms)
    standing = with_response(read_standing(draft, subject), response)
    draft.put(Table.STANDINGS, subject, encode_standing(subject, standing))


def read_reservation(rows: Lookup, decision_id: bytes) -> Reservation | None:
    """Return what a decision has reserved, or reports on it have left; None if that is nothing.

    Raises:
        DamagedRecord: It is not what was written.
    """
    value = rows.get(Table.CONTACTS, decision_id)
    return None if value is None else decode_reservation(decision_id, value)


def _settle(
    draft: Draft, standing: Standing, before: Reservation | None, after: Reservation, value: bytes
) -> None:
    """Write a reservation, and what it changes for its subject and its budgets."""
    was, now = None if before is None else before.in_force, after.in_force
    writes: list[_Write] = [(Table.CONTACTS, after.decision_id, value)]
    if was != now:
        settled = encode_standing(after.subject, with_contact(standing, after))
        writes.append((Table.STANDINGS, after.subject, settled))
        writes += _budget_changes(draft, _slots(was), _slots(now))
    for write in writes:
        draft.put(*write)


def _budget_changes(
    rows: Lookup, was: Iterable[BudgetSlot], now: Iterable[BudgetSlot]
) -> Iterator[_Write]:
    changes: defaultdict[BudgetKey, list[int]] = defaultdict(lambda: [0] * HOURS)
    for slots, sign in ((was, -1), (now, 1)):
        for kind, name, day, hour in slots:
            changes[kind, name, day][hour] += sign
    for budget, change in changes.items():
        # Never below nothing: the day may have been forgotten since.
        sent = [max(0, sum(pair)) for pair in zip(_sent(rows, budget), change, strict=True)]
        yield Table.BUDGETS, budget_key(*budget), encode_budget(budget, tuple(sent))


def _slots(contact: Contact | None) -> tuple[BudgetSlot, ...]:
    return () if contact is None else contact.slots
