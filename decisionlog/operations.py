"""What is done inside a write transaction: each rule of idempotency stands here, once.

Records are encoded before an operation is queued, so that the one writer only looks up and puts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Final, Generic, NamedTuple, TypeVar

from decisionlog.codec import (
    decode_decision,
    decode_delivery,
    decode_request,
    decode_reward,
    encode_decision,
    encode_delivery,
    encode_request,
    encode_reward,
)
from decisionlog.contacts import Proposal
from decisionlog.drafts import Draft, Lookup
from decisionlog.errors import (
    ContactRefused,
    DamagedRecord,
    DecisionIdReused,
    DecisionLogError,
    DeliveryIdReused,
    InvalidRecord,
    RequestIdReused,
    RewardIdReused,
    SubjectErased,
)
from decisionlog.records import Decision, Delivery, ReportOutcome, Reward
from decisionlog.schema import erased_before, expired_before
from decisionlog.standings import (
    NewContact,
    follow_reward,
    new_contact,
    proposed_again,
    read_reservation,
    reserve,
)
from decisionlog.tables import Counter, Table, report_key
from decisionlog.tombstones import decode_tombstone

AGAIN_MAX: Final = 16
"""So many decisions of a call are made again in the transaction, while nobody else can write; of
those that come after, all that ask for leave are refused."""

_Report = TypeVar("_Report", Delivery, Reward)


class NewDecision(NamedTuple):  # made for every decision, in a third of a dataclass's time
    """A decision, ready to be written."""

    proposal: Proposal
    value: bytes
    """Stored form of the decision."""
    request_value: bytes
    """Empty if the request has no id."""
    contact: NewContact | None
    """What it asks for beside; None if that is nothing."""


def new_decision(proposal: Proposal) -> NewDecision:
    """Encode a proposed decision.

    Raises:
        InvalidRecord: It has no stored form.
    """
    decision, request_key = proposal.decision, proposal.request_key
    request_value = b""
    if request_key is not None:
        request_value = encode_request(decision.decision_id, decision.request_digest)
    value, contact = encode_decision(decision), new_contact(proposal)
    return NewDecision(proposal, value, request_value, contact)


def new_or_refused(proposal: Proposal) -> NewDecision | InvalidRecord:
    """Encode a decision; one that has no stored form keeps no other of its call from the log."""
    try:
        return new_decision(proposal)
    except InvalidRecord as error:
        return error


@dataclass(frozen=True, slots=True)
class RecordDecisions:
    """Stores decisions whose requests were not answered before, as they are or made again.

    Each is admitted, or made again, by what those before it have reserved.
    """

    news: Sequence[NewDecision | InvalidRecord]
    """An error stands in the place of what cannot be stored, and is its result."""

    def __call__(self, draft: Draft) -> list[Decision | DecisionLogError]:
        """Return for each the decision in force, or why there is none."""
        call = _Call()
        return [_record(draft, new, call) for new in self.news]


@dataclass(slots=True)
class _Call:
    left: int = AGAIN_MAX
    """So many of its decisions may still be made again; below 0 it is over for all that ask."""

    def check(self, proposal: Proposal) -> None:
        """Refuse a proposal that asks where it is over."""
        if self.left < 0:
            raise ContactRefused(proposal.decision.decision_id)


def _record(
    draft: Draft, new: NewDecision | InvalidRecord, call: _Call
) -> Decision | DecisionLogError:
    if isinstance(new, InvalidRecord):
        return new
    proposal = new.proposal
    try:
        if proposal.request_key is not None:
            earlier = _earlier(draft, proposal, proposal.request_key)
            if earlier is not None:
                return earlier
        if proposal.admit is not None:
            call.check(proposal)
        return _store_decision(draft, new, proposal.decision)
    except ContactRefused as refused:
        return _record_again(draft, new.proposal, call) or refused
    except SubjectErased as error:
        call.left = -1  # the rest was made as if this had been stored
        return error
    except DecisionLogError as error:
        return error


def _record_again(
    draft: Draft, refused: Proposal, call: _Call
) -> Decision | DecisionLogError | None:
    """Store what takes the place of a refused proposal; None if nothing does."""
    if refused.again is None:
        return None
    call.left -= 1
    if call.left < 0:
        return None
    try:
        return _record(draft, new_decision(proposed_again(draft, refused, refused.again)), call)
    except DecisionLogError as error:
        return error


def _earlier(draft: Draft, proposal: Proposal, request_key: bytes) -> Decision | None:
    """Return the decision that answered this request before, None if none did or it was removed."""
    found = draft.get(Table.REQUESTS, request_key)
    if found is None:
        return None
    decision_id, request_digest = decode_request(request_key, found)
    earlier = answered_by(draft, request_key, decision_id)
    if earlier and request_digest != proposal.decision.request_digest:
        raise RequestIdReused(decision_id)
    return earlier


def answered_by(transaction: Lookup, request_key: bytes, decision_id: bytes) -> Decision | None:
    """Return the decision that a request points to, None if it was erased or has expired.

    Raises:
        DamagedRecord: It is not there, though nothing removed it.
    """
    value = transaction.get(Table.DECISIONS, decision_id)
    if value is not None:
        return decode_decision(decision_id, value)
    if not is_gone(transaction, decision_id):
        raise DamagedRecord(Table.REQUESTS, request_key, "its decision is missing")
    return None


def is_gone(transaction: Lookup, decision_id: bytes) -> bool:
    """Tell whether a decision was there, and was erased or has expired."""
    if transaction.get(Table.DECISIONS, decision_id) is not None:
        return False
    return _was_erased(transaction, decision_id) or decision_id < expired_before(transaction)


def _was_erased(transaction: Lookup, decision_id: bytes) -> bool:
    return transaction.get(Table.ERASED, decision_id) is not None


def _store_decision(draft: Draft, new: NewDecision, decision: Decision) -> Decision:
    decision_id = decision.decision_id
    if draft.is_newest(decision_id):
        stored, early = None, None
    else:
        stored, early = _stored(draft, decision_id, new.value), read_reservation(draft, decision_id)
        _check_subject(draft, decision)
    if stored is None:
        reserve(draft, decision, new.contact, early)
        draft.put(Table.DECISIONS, decision_id, new.value)
        draft.tally(Counter.DECISIONS)
    if new.proposal.request_key is not None:
        draft.put(Table.REQUESTS, new.proposal.request_key, new.request_value)
    return decision


def _stored(draft: Draft, decision_id: bytes, value: bytes) -> bytes | None:
    """Return the stored form of the very same decision, None if there is none."""
    stored = draft.get(Table.DECISIONS, decision_id)
    # What was erased is not brought back, also if somebody asks for the very same decision again.
    if stored != value if stored is not None else _was_erased(draft, decision_id):
        raise DecisionIdReused(decision_id)
    return stored


def _check_subject(rows: Lookup, decision: Decision) -> None:
    """Refuse what was in the making when its subject was erased: no pass would find it any more.

    Younger decisions are not asked about, so that a clock that was set back keeps nobody out whose
    tombstone reaches into the future.
    """
    decision_id, subject = decision.decision_id, decision.subject
    if decision_id >= erased_before(rows):
        return
    value = rows.get(Table.TOMBSTONES, subject)
    if value is not None and decode_tombstone(subject, value).covers(subject, decision_id):
        raise SubjectErased(decision_id)


@dataclass(frozen=True, slots=True)
class ReportKind(Generic[_Report]):
    """How deliveries and rewards differ in their storing."""

    table: Table
    stored: Counter
    repeated: Counter
    erased: Counter
    caller_id: Callable[[_Report], str]
    encode: Callable[[_Report], bytes]
    decode: Callable[[bytes, bytes], _Report]
    reused: Callable[[bytes, str], DecisionLogError]


Follow = Callable[[Draft, _Report, bytes | None], None]
"""Does what follows of a new report, given the stored form of its decision, None if it is not
known; it reads before it writes, so that nothing is written if it raises."""

DELIVERY: Final[ReportKind[Delivery]] = ReportKind(
    Table.DELIVERIES,
    Counter.DELIVERIES,
    Counter.DELIVERIES_REPEATED,
    Counter.DELIVERIES_ERASED,
    attrgetter("delivery_id"),
    encode_delivery,
    decode_delivery,
    DeliveryIdReused,
)
REWARD: Final[ReportKind[Reward]] = ReportKind(
    Table.REWARDS,
    Counter.REWARDS,
    Counter.REWARDS_REPEATED,
    Counter.REWARDS_ERASED,
    attrgetter("reward_id"),
    encode_reward,
    decode_reward,
    RewardIdReused,
)


class NewReport(NamedTuple, Generic[_Report]):
    """A delivery or a reward, ready to be written."""

    report: _Report
    key: bytes
    value: bytes


def new_report(kind: ReportKind[_Report], report: _Report) -> NewReport[_Report]:
    """Encode a report.

    Raises:
        InvalidRecord: It has no stored form.
    """
    value = kind.encode(report)
    return NewReport(report, report_key(report.decision_id, kind.caller_id(report)), value)


@dataclass(frozen=True, slots=True)
class StoreReports(Generic[_Report]):
    """Stores deliveries or rewards, each once."""

    kind: ReportKind[_Report]
    news: Sequence[NewReport[_Report]]
    follow: Follow[_Report]

    def __call__(self, draft: Draft) -> list[ReportOutcome | DecisionLogError]:
        """Return for each how it was taken, or why it was not."""
        if len(self.news) > 1:
            draft.prepare(self.kind.table, [new.key for new in self.news])
            draft.prepare(Table.DECISIONS, [new.report.decision_id for new in self.news])
        return [_store_report(draft, self, new) for new in self.news]


def _store_report(
    draft: Draft, reports: StoreReports[_Report], new: NewReport[_Report]
) -> ReportOutcome | DecisionLogError:
    kind = reports.kind
    found = draft.get(kind.table, new.key)
    if found is not None:
        return _taken_before(draft, kind, new, found)
    decision = draft.get(Table.DECISIONS, new.report.decision_id)
    if decision is None and _was_erased(draft, new.report.decision_id):
        # Counted as come and as erased, so that the ledger stays exact, and not kept.
        draft.tally(kind.stored)
        draft.tally(kind.erased)
        return ReportOutcome.UNMATCHED
    try:
        reports.follow(draft, new.report, decision)
    except DecisionLogError as error:
        return error
    draft.put(kind.table, new.key, new.value)
    draft.tally(kind.stored)
    return ReportOutcome.UNMATCHED if decision is None else ReportOutcome.ACCEPTED


def _taken_before(
    draft: Draft, kind: ReportKind[_Report], new: NewReport[_Report], found: bytes
) -> ReportOutcome | DecisionLogError:
    try:
        stored = kind.decode(new.key, found)
        if not _is_repeat(kind, stored, new.report):
            return kind.reused(new.report.decision_id, kind.caller_id(new.report))
        draft.tally(kind.repeated)
    except DecisionLogError as error:
        return error
    return ReportOutcome.REPEATED


def _is_repeat(kind: ReportKind[_Report], stored: _Report, new: _Report) -> bool:
    """Tell whether two reports say the same.

    When they were received does not count. When it occurred does, unless the caller left it to us
    both times: then both were stamped with the time of their receipt.
    """
    same_time = stored.occurred_at_ms == new.occurred_at_ms or (
        _is_stamped(stored) and _is_stamped(new)
    )
    retimed = replace(
        new, occurred_at_ms=stored.occurred_at_ms, received_at_ms=stored.received_at_ms
    )
    # As bytes, since a NaN is not equal to itself.
    return same_time and kind.encode(retimed) == kind.encode(stored)


def _is_stamped(report: Delivery | Reward) -> bool:
    return report.occurred_at_ms == report.received_at_ms


@dataclass(frozen=True, slots=True)
class Listening:
    """Lets rewards of certain names become responses."""

    listened: frozenset[str]

    def __call__(self, draft: Draft, reward: Reward, _: bytes | None) -> None:
        """Follow a reward, if somebody listens to it."""
        if reward.name in self.listened:
            follow_reward(draft, reward)
