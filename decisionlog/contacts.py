"""Contacts, responses and budgets: what counts for a subject, and which report decides about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from decisionlog.ids import time_ms
from decisionlog.records import Decision, Delivery, DeliveryStatus

HOURS: Final = 25
"""Hours of a budget's day: on the day on which the clock is turned back there are 25."""
STANDING_DAYS: Final = 400
"""Contacts and responses from more days before the subject's newest decision are forgotten."""
STANDING_LENGTH_MAX: Final = 1_024
"""The most contacts, and the most responses, that are kept of one subject; the oldest go first."""

_DAY_MS: Final = 86_400_000
_NO_ID: Final = bytes(16)

BudgetKey = tuple[str, str, int]
"""Kind ("offer" or "channel"), name, number of the day in the catalog's zone (1 is 0001-01-01)."""
BudgetSlot = tuple[str, str, int, int]
"""A `BudgetKey` and the whole hours from that day's midnight, 0 to 24."""
Spent = Mapping[BudgetKey, tuple[int, ...]]
"""Messages of a budget's day, by hour: 25 numbers."""


@dataclass(frozen=True, slots=True)
class Contact:
    """One message that counts for its subject: reserved with the decision, confirmed by a report.

    Contacts that failed or were suppressed do not count, and are not here.
    """

    decision_id: bytes
    offer: str
    channel: str
    send_time_ms: int
    """Unix time."""
    confirmed: bool = False
    """Whether a report said that it was sent."""
    slots: tuple[BudgetSlot, ...] = ()
    """Where it counts in budgets; empty in a `Standing`, since budgets are asked for by day."""


@dataclass(frozen=True, slots=True)
class Response:
    """A reward that rules or history listen to, on a contact of its subject."""

    decision_id: bytes
    name: str
    """Name of the reward."""
    offer: str
    """What was really sent, as far as it was reported; else what was decided."""
    channel: str
    occurred_at_ms: int
    """Unix time."""


@dataclass(frozen=True, slots=True)
class Standing:
    """All that counts for one subject, within `STANDING_DAYS` and `STANDING_LENGTH_MAX`."""

    contacts: tuple[Contact, ...] = ()
    """By send time."""
    responses: tuple[Response, ...] = ()
    """By when they happened."""


Admit = Callable[[Standing, Spent], bool]
"""Asked inside the write transaction, with what is true then: may the decision be stored so?"""
Again = Callable[[Standing, Spent], "Proposal"]
"""Asked inside the write transaction, with what is true then, where the answer was no: the proposal
that takes the place of the one that was refused, with the same decision id, request and subject."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A decision to be stored, and what it takes."""

    decision: Decision
    request_key: bytes | None = None
    """From `Keys.request_key`; None if the request has no id."""
    contact: Contact | None = None
    """The message to reserve; None if nothing is sent."""
    admit: Admit | None = None
    """None: the decision needs no leave. It gets the subject's standing and the days of `budgets`.
    It runs while nobody else can write: it must be quick."""
    audit: tuple[str, ...] = ()
    """The rules that a critical request passed by; empty if none."""
    budgets: tuple[BudgetKey, ...] = ()
    """The days of budgets that `admit` and `again` are told of."""
    again: Again | None = None
    """None: what is not admitted is refused. It runs while nobody else can write."""


class AuditKind(IntEnum):
    """What an entry of the audit trail is about."""

    CRITICAL = 1
    """A critical request passed by rules that hold for others."""
    SERVE = 2
    """The service was started."""
    ROLLOUT = 3
    """What is in force was changed."""
    ERASE = 4
    """Subjects were erased."""
    RETAIN = 5
    """What was too old or too much was removed."""
    BACKUP = 6
    """A backup was made."""
    RESTORE = 7
    """The log was restored from a backup."""
    EXPORT = 8
    """The log was exported."""
    EXPORT_SUBJECT = 9
    """All that is held of a subject was handed out."""
    REKEY = 10
    """Records were sealed anew under another key."""
    MIGRATE = 11
    """The log was brought to another schema."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that happened outside the usual rules."""

    entry_id: bytes
    """16 bytes that sort by time; the decision's id where it is about one."""
    kind: AuditKind
    decision_id: bytes
    """Empty if it is about none."""
    bypassed: tuple[str, ...] = ()
    """The rules that it passed by."""
    actor: str = ""
    """Who did it, see `acts.this_user`; empty for requests, which callers make."""
    details: tuple[tuple[str, str], ...] = ()
    """More on it: names and values, sorted."""

    @property
    def occurred_at_ms(self) -> int:
        """Unix time, from the id."""
        return time_ms(self.entry_id)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a decision reserved, and the report that decides what became of it.

    Nothing else is needed to tell what counts, so reports may come in any order and repeatedly.
    """

    decision_id: bytes
    subject: bytes
    """Keyed hash of the subject's id; empty while the decision is not known, and nothing counts."""
    contact: Contact | None = None
    """As decided; None if nothing was."""
    report: Delivery | None = None
    """The one that decides, see `precedence`, without its remark."""

    @property
    def in_force(self) -> Contact | None:
        """The contact as it counts now, None if none does.

        What was really sent counts, also where nothing was decided. Its budget slots are the
        decided ones under the names of what was sent: the day and hour of the send time in the
        catalog's zone are known to the decision only.
        """
        if not self.subject:
            return None
        if self.report is None:
            return self.contact
        if self.report.status == DeliveryStatus.OVERRIDDEN:
            return _really_sent(self.contact, self.report)
        if self.report.status == DeliveryStatus.SENT and self.contact is not None:
            return replace(self.contact, confirmed=True)
        return None

    @property
    def named(self) -> Contact | None:
        """The contact that responses name: the one in force, else the decided one."""
        return self.in_force or self.contact

    def reported(self, report: Delivery) -> "Reservation":
        """Return the reservation after one more report."""
        if self.report is not None and precedence(report) <= precedence(self.report):
            return self
        return replace(self, report=replace(report, detail=""))


def precedence(report: Delivery) -> tuple[int, int, bool, str]:
    """Return what reports on one decision are compared by: the greatest decides.

    What occurred last decides, then what was received last; of two that agree in both, one that
    says that something was sent, since a message too few does less harm than one too many.
    """
    is_sent = report.status in (DeliveryStatus.SENT, DeliveryStatus.OVERRIDDEN)
    return report.occurred_at_ms, report.received_at_ms, is_sent, report.delivery_id


def _really_sent(contact: Contact | None, report: Delivery) -> Contact | None:
    if contact is None:
        if not report.actual_channel:
            return None
        contact = Contact(report.decision_id, "", "", report.occurred_at_ms)
    names = {
        "offer": report.actual_offer or contact.offer,
        "channel": report.actual_channel or contact.channel,
    }
    return Contact(
        contact.decision_id,
        names["offer"],
        names["channel"],
        report.actual_send_time_ms or contact.send_time_ms,
        confirmed=True,
        slots=tuple((kind, names[kind], day, hour) for kind, _, day, hour in contact.slots),
    )


def with_contact(standing: Standing, now: Reservation) -> Standing:
    """Return a standing in which a decision counts as its reservation says.

    Responses to it come to name what the reservation names.
    """
    decision_id, contact, named = now.decision_id, now.in_force, now.named
    contacts = [each for each in standing.contacts if each.decision_id != decision_id]
    contacts += [] if contact is None else [replace(contact, slots=())]
    responses = standing.responses
    if named is not None:
        responses = tuple(
            replace(each, offer=named.offer, channel=named.channel)
            if each.decision_id == decision_id
            else each
            for each in responses
        )
    return bounded(Standing(tuple(contacts), responses))


def with_response(standing: Standing, response: Response) -> Standing:
    """Return a standing with one more response."""
    return bounded(Standing(standing.contacts, (*standing.responses, response)))


def bounded(standing: Standing) -> Standing:
    """Return a standing in its order, without what is too old or too much.

    Age is measured from the newest decision, whose time is our own: a caller's wrong clock can
    make a report old, but never drive out the others.
    """
    contacts = sorted(standing.contacts, key=lambda each: (each.send_time_ms, each.decision_id))
    responses = sorted(
        standing.responses, key=lambda each: (each.occurred_at_ms, each.decision_id, each.name)
    )
    ids = [each.decision_id for each in contacts] + [each.decision_id for each in responses]
    newest_ms = time_ms(max(ids, default=_NO_ID))
    since_ms = newest_ms - STANDING_DAYS * _DAY_MS
    kept = [each for each in contacts if each.send_time_ms >= since_ms]
    heard = [each for each in responses if each.occurred_at_ms >= since_ms]
    return Standing(tuple(kept[-STANDING_LENGTH_MAX:]), tuple(heard[-STANDING_LENGTH_MAX:]))
