"""The log against a plain in-memory reference, under random operations and restarts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from decisionlog import (
    BudgetKey,
    BudgetSlot,
    Contact,
    ContactRefused,
    Counts,
    Decision,
    DecisionIdReused,
    DecisionLog,
    DecisionLogError,
    Delivery,
    DeliveryIdReused,
    DeliveryStatus,
    Proposal,
    Removed,
    ReportOutcome,
    RequestIdReused,
    Response,
    Reward,
    RewardIdReused,
    Spent,
    Standing,
    SubjectErased,
    erasure,
    retention,
)
from decisionlog.backup import backup
from decisionlog.checking import Finding, check
from decisionlog.contacts import HOURS
from decisionlog.ids import lower_bound, time_ms
from decisionlog.key_ring import KeyRing, record_key
from decisionlog.restore import restore
from decisionlog.tombstones import TOMBSTONE_FILE
from tests.decisionlog.recount import counting, ordered, reservations, spent_by
from tests.decisionlog.samples import DECISION, DELIVERY, KEYS, MAP_SIZE_BYTES, REWARD, decision_id

numbers = st.integers(1, 4)
names = st.sampled_from(["a", "b|:\n", "\U0001f600"])
times_ms = st.integers(1, 3)
request_keys = st.none() | st.sampled_from([b"p" * 16, b"q" * 16])
digests = st.sampled_from([b"d" * 16, b"e" * 16])

SUBJECTS = (b"s" * 16, b"t" * 16)
DAY = 739_533
BUDGETS: tuple[BudgetKey, ...] = (("channel", "push", DAY), ("channel", "email", DAY))
LISTENED = frozenset({REWARD.name})
KINDS = ("decisions", "deliveries", "rewards", "contacts")


@dataclass(frozen=True)
class Limits:
    """A rule for `admit`: contacts of a subject, messages of each budget's day."""

    contacts: int
    spent: int

    def __call__(self, standing: Standing, spent: Spent) -> bool:
        """Tell whether there is room for one more."""
        is_room = all(sum(hours) < self.spent for hours in spent.values())
        return len(standing.contacts) < self.contacts and is_room


def proposal(
    number: int, digest: bytes, arm: int, request_key: bytes | None, sends: tuple[str, int] | None
) -> Proposal:
    """Return a decision for one of two subjects, which sends something or does not."""
    decision = replace(
        DECISION,
        decision_id=decision_id(number),
        subject=subject_of(number),
        request_digest=digest,
        arm=arm,
    )
    if sends is None:
        return Proposal(decision, request_key)
    channel, hour = sends
    contact = Contact(
        decision_id(number), "mens", channel, hour, slots=(("channel", channel, DAY, hour),)
    )
    return Proposal(decision, request_key, contact)


def subject_of(number: int) -> bytes:
    """Return the subject of a decision."""
    return SUBJECTS[number % 2]


proposals = st.builds(
    proposal,
    numbers,
    digests,
    st.integers(1, 2),
    request_keys,
    st.none() | st.tuples(st.sampled_from(["push", "email"]), st.integers(1, 2)),
)


def instead(proposed: Proposal) -> Proposal:
    """Return what takes the place of a proposal: nothing is sent."""
    return Proposal(replace(proposed.decision, arm=3), proposed.request_key)


limited_proposals = st.builds(
    lambda proposed, limits, audit, is_made_again: replace(
        proposed,
        admit=limits,
        audit=audit,
        budgets=BUDGETS,
        again=(lambda *_: instead(proposed)) if is_made_again else None,
    ),
    proposals,
    st.none() | st.builds(Limits, st.integers(0, 2), st.integers(1, 2)),
    st.sampled_from([(), ("cap",)]),
    st.booleans(),
)
deliveries = st.builds(
    lambda number, name, status, occurred, received: replace(
        DELIVERY,
        decision_id=decision_id(number),
        delivery_id=name,
        status=status,
        occurred_at_ms=occurred,
        received_at_ms=received,
    ),
    numbers,
    names,
    st.sampled_from(DeliveryStatus),
    times_ms,
    times_ms,
)
rewards = st.builds(
    lambda number, name, value, occurred, received: replace(
        REWARD,
        decision_id=decision_id(number),
        reward_id=name,
        value=value,
        occurred_at_ms=occurred,
        received_at_ms=received,
    ),
    numbers,
    names,
    st.sampled_from([0.0, 1.0]),
    times_ms,
    times_ms,
)


@dataclass
class Reference:
    """What a log should be, in dictionaries."""

    decisions: dict[bytes, Decision] = field(default_factory=dict)
    requests: dict[bytes, Decision] = field(default_factory=dict)
    deliveries: dict[tuple[bytes, str], Delivery] = field(default_factory=dict)
    rewards: dict[tuple[bytes, str], Reward] = field(default_factory=dict)
    deliveries_repeated: int = 0
    rewards_repeated: int = 0
    decided: dict[bytes, Contact] = field(default_factory=dict)
    responses: list[Response] = field(default_factory=list)
    audited: set[bytes] = field(default_factory=set)
    erased: set[bytes] = field(default_factory=set)
    """Ids of decisions that were erased: reports on them are not kept."""
    kept_slots: Counter[BudgetSlot] = field(default_factory=Counter)
    """Of contacts that are gone: what was sent stays sent."""
    gone: Counter[str] = field(default_factory=Counter)
    """How many of each kind were removed, and why."""
    erased_before: bytes = b""
    """The id that the last erasure would have given."""
    outliving: dict[bytes, Contact] = field(default_factory=dict)
    """Contacts that count though their decisions have expired: their send times lie ahead."""

    def record(self, offered: Sequence[Proposal], tombs: Mapping[bytes, bytes]) -> list[object]:
        """Return what a log should answer; after an erased subject nobody is asked any more."""
        answers: list[object] = []
        for proposed in offered:
            is_open = SubjectErased in answers and proposed.admit is not None
            answers.append(self._record(proposed, tombs, is_open=is_open))
        return answers

    def _record(
        self, proposed: Proposal, tombs: Mapping[bytes, bytes], *, is_open: bool = False
    ) -> Decision | type:
        """Return what a log should answer; an error by its type.

        Args:
            proposed: What is recorded.
            tombs: By erased subject, the first decision that was left.
            is_open: Nobody is asked about it.
        """
        decision, request = proposed.decision, proposed.request_key
        if request in self.requests:
            earlier = self.requests[request]
            same = earlier.request_digest == decision.request_digest
            return earlier if same else RequestIdReused
        if is_open:
            return ContactRefused
        is_other = self.decisions.get(decision.decision_id, decision) != decision
        if is_other or self._is_dropped(decision.decision_id):
            return DecisionIdReused
        if decision.decision_id not in self.decisions:
            if decision.decision_id < min(tombs.get(decision.subject, b""), self.erased_before):
                return SubjectErased
            if not self._reserve(proposed):
                return self._instead(proposed, tombs)
        self.decisions[decision.decision_id] = decision
        if request is not None:
            self.requests[request] = decision
        return decision

    def _instead(self, refused: Proposal, tombs: Mapping[bytes, bytes]) -> Decision | type:
        """Return what a log should answer to what takes a refused proposal's place."""
        if refused.again is None:
            return ContactRefused
        return self._record(instead(refused), tombs)

    def _reserve(self, proposed: Proposal) -> bool:
        decision_id, subject = proposed.decision.decision_id, proposed.decision.subject
        spent = self.spent()
        asked = {budget: spent[budget] for budget in proposed.budgets}
        if proposed.admit is not None and not proposed.admit(self.standing(subject), asked):
            return False
        if proposed.contact is not None:
            self.decided[decision_id] = proposed.contact
        if proposed.audit:
            self.audited.add(decision_id)
        return True

    def report_delivery(self, new: Delivery) -> ReportOutcome | type:
        """Return what a log should answer; an error by its type."""
        if self._is_dropped(new.decision_id):
            self.gone["deliveries erased"] += 1
            return ReportOutcome.UNMATCHED
        stored = self.deliveries.setdefault((new.decision_id, new.delivery_id), new)
        if stored is new:
            self._rename(new.decision_id)
            return self._outcome(new)
        same_time = stored.occurred_at_ms == new.occurred_at_ms or (
            stored.occurred_at_ms == stored.received_at_ms
            and new.occurred_at_ms == new.received_at_ms
        )
        if stored.status != new.status or not same_time:
            return DeliveryIdReused
        self.deliveries_repeated += 1
        return ReportOutcome.REPEATED

    def report_reward(self, new: Reward) -> ReportOutcome | type:
        """Return what a log should answer; an error by its type."""
        if self._is_dropped(new.decision_id):
            self.gone["rewards erased"] += 1
            return ReportOutcome.UNMATCHED
        stored = self.rewards.setdefault((new.decision_id, new.reward_id), new)
        if stored is new:
            self._hear(new)
            return self._outcome(new)
        same_time = stored.occurred_at_ms == new.occurred_at_ms or (
            stored.occurred_at_ms == stored.received_at_ms
            and new.occurred_at_ms == new.received_at_ms
        )
        if stored.value != new.value or not same_time:
            return RewardIdReused
        self.rewards_repeated += 1
        return ReportOutcome.REPEATED

    def _is_dropped(self, decision_id: bytes) -> bool:
        return decision_id in self.erased and decision_id not in self.decisions

    def erase(self, subject: bytes, through: bytes) -> Removed:
        """Forget a subject up to a decision; return what should have gone."""
        of = {id_ for id_, each in self.decisions.items() if each.subject == subject}
        ids = {id_ for id_ in of if id_ < through}
        self.erased |= ids
        self.outliving = {
            id_: contact
            for id_, contact in self.outliving.items()
            if subject_of(time_ms(id_)) != subject or id_ >= through
        }
        return self._remove(ids, ids, "erased")

    def expire(self, before: bytes) -> Removed:
        """Forget what is older than a decision; return what should have gone."""
        self.erased = {each for each in self.erased if each >= before}
        known = {id_ for id_ in self.decisions if id_ < before}
        counted = {id_: contact for id_ in known if (contact := self._counting(id_))}
        self.outliving = {
            id_: contact
            for id_, contact in (self.outliving | counted).items()
            if id_ >= before or contact.send_time_ms >= time_ms(before)
        }
        reported = [of for of, _ in [*self.deliveries, *self.rewards]]
        return self._remove(known, {of for of in reported if of < before} | known, "expired")

    def _remove(self, known: set[bytes], reported: set[bytes], why: str) -> Removed:
        for id_ in known:
            counting = self._counting(id_)
            self.kept_slots.update(() if counting is None else counting.slots)
        before = self._lengths()
        self.decisions = {k: v for k, v in self.decisions.items() if k not in known}
        self.decided = {k: v for k, v in self.decided.items() if k not in known}
        self.requests = {k: v for k, v in self.requests.items() if v.decision_id not in known}
        self.responses = [each for each in self.responses if each.decision_id not in known]
        self.audited -= known
        self.deliveries = {k: v for k, v in self.deliveries.items() if k[0] not in reported}
        self.rewards = {k: v for k, v in self.rewards.items() if k[0] not in reported}
        counts = [old - new for old, new in zip(before, self._lengths(), strict=True)]
        for kind, count in zip(KINDS, counts, strict=True):
            self.gone[f"{kind} {why}"] += count
        return Removed(*counts)

    def _lengths(self) -> list[int]:
        return [len(self.decisions), len(self.deliveries), len(self.rewards), len(self.decided)]

    def removed(self, why: str) -> Removed:
        """Return what should have gone for a reason."""
        return Removed(*(self.gone[f"{kind} {why}"] for kind in KINDS))

    def _outcome(self, new: Delivery | Reward) -> ReportOutcome:
        known = new.decision_id in self.decisions
        return ReportOutcome.ACCEPTED if known else ReportOutcome.UNMATCHED

    def _counting(self, decision_id: bytes) -> Contact | None:
        reports = [each for (of, _), each in self.deliveries.items() if of == decision_id]
        return counting(decision_id, self.decided.get(decision_id), reports)

    def _named(self, decision_id: bytes) -> Contact | None:
        return self._counting(decision_id) or self.decided.get(decision_id)

    def _hear(self, new: Reward) -> None:
        named = self._named(new.decision_id) if new.decision_id in self.decisions else None
        if new.name in LISTENED and named is not None:
            at_ms = min(new.occurred_at_ms, new.received_at_ms)
            heard = (new.name, named.offer, named.channel, at_ms)
            self.responses.append(Response(new.decision_id, *heard))

    def _rename(self, decision_id: bytes) -> None:
        named = self._named(decision_id)
        if named is not None:
            self.responses = [
                replace(each, offer=named.offer, channel=named.channel)
                if each.decision_id == decision_id
                else each
                for each in self.responses
            ]

    def _contacts(self) -> list[Contact]:
        found = map(self._counting, self.decisions)
        return [contact for contact in found if contact is not None]

    def standing(self, subject: bytes) -> Standing:
        """Return what should count for a subject."""
        of = {id_ for id_, each in self.decisions.items() if each.subject == subject}
        return ordered(
            [each for each in self._contacts() if each.decision_id in of]
            + [one for id_, one in self.outliving.items() if subject_of(time_ms(id_)) == subject],
            [each for each in self.responses if each.decision_id in of],
        )

    def spent(self) -> Spent:
        """Return what should be spent of the budgets."""
        present = spent_by(self._contacts())
        return {day: self._spent_on(day, present) for day in {*BUDGETS, *present}}

    def _spent_on(self, day: BudgetKey, present: Spent) -> tuple[int, ...]:
        hours = present.get(day, (0,) * HOURS)
        return tuple(sent + self.kept_slots[(*day, hour)] for hour, sent in enumerate(hours))

    def counts(self) -> Counts:
        """Return what a log should count."""
        return Counts(
            len(self.decisions),
            len(self.deliveries),
            len(self.rewards),
            len(self.requests),
            self.deliveries_repeated,
            self.rewards_repeated,
        )


def typed(
    results: list[Decision | DecisionLogError] | list[ReportOutcome | DecisionLogError],
) -> list[object]:
    """Return results with errors by their types."""
    return [type(each) if isinstance(each, DecisionLogError) else each for each in results]


def open_log(directory: Path) -> DecisionLog:
    """Open the log of a directory."""
    return DecisionLog.open(
        directory, keys=KEYS, map_size_bytes=MAP_SIZE_BYTES, key_ring=lambda: RING
    )


def restored_at_ms(directory: Path) -> int:
    """Return the time of the last erasure that a log knows."""
    with open_log(directory) as log:
        return max((each.erased_at_ms for each in erasure.tombstones(log.store)), default=0)


RING = KeyRing((record_key(b"r" * 32),))


class LogMachine(RuleBasedStateMachine):
    """Does the same to a log and to its reference and compares all that can be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(mkdtemp())
        self.reference = Reference()
        self.generation = 0
        self.log = open_log(self.place)
        self.tombs: dict[bytes, bytes] = {}
        self.erased_at_ms = 0
        self.saved: tuple[Reference, dict[bytes, bytes]] | None = None

    @property
    def place(self) -> Path:
        """The data directory: each restore makes another one."""
        return self.directory / str(self.generation)

    def teardown(self) -> None:
        """Find the log sound, whatever was done to it, and leave nothing behind."""
        findings: list[Finding] = []
        check(self.log.store, findings.append)
        self.log.close()
        rmtree(self.directory)
        assert findings == []

    @rule(offered=st.lists(limited_proposals, min_size=1, max_size=5))
    def record(self, offered: list[Proposal]) -> None:
        """Record a batch; an id that has expired is not given again."""
        gone = self.reference.outliving
        offered = [each for each in offered if each.decision.decision_id not in gone]
        expected = self.reference.record(offered, self.tombs)
        assert typed(self.log.record(offered)) == expected

    @rule(reports=st.lists(deliveries, min_size=1, max_size=5))
    def report_deliveries(self, reports: list[Delivery]) -> None:
        """Report a batch of deliveries."""
        expected = [self.reference.report_delivery(each) for each in reports]
        assert typed(self.log.report_deliveries(reports)) == expected

    @rule(reports=st.lists(rewards, min_size=1, max_size=5))
    def report_rewards(self, reports: list[Reward]) -> None:
        """Report a batch of rewards."""
        expected = [self.reference.report_reward(each) for each in reports]
        assert typed(self.log.report_rewards(reports, LISTENED)) == expected

    @rule(subject=st.sampled_from(SUBJECTS), at_ms=st.integers(0, 4))
    def erase(self, subject: bytes, at_ms: int) -> None:
        """Erase a subject, while decisions may be in the making and the clock may be set back."""
        last = max(self.reference.decisions, default=bytes(16))
        after = (int.from_bytes(last, "big") + 1).to_bytes(16, "big")
        through = max(after, lower_bound(at_ms + 1), self.tombs.get(subject, b""))
        found = erasure.erase(self.log.store, [subject], at_ms)
        assert found[subject].removed == self.reference.erase(subject, through)
        self.reference.erased_before = lower_bound(at_ms + 1)
        assert found[subject].tombstone.erased_at_ms > self.erased_at_ms
        self.erased_at_ms = found[subject].tombstone.erased_at_ms
        self.tombs[subject] = through
        buried = erasure.tombstones(self.log.store)
        assert all(each.is_complete for each in buried)
        assert {each.subject: each.through for each in buried} == self.tombs

    @rule(number=numbers, rows=st.integers(1, 3))
    def expire(self, number: int, rows: int) -> None:
        """Let what is older than a decision expire, in slices."""
        before, gone = decision_id(number), Removed()
        while (part := retention.expire(self.log.store, before, rows)) is not None:
            gone += part
        assert gone == self.reference.expire(before)
        sweep = retention.Sweep(before, before)
        assert retention.sweep_requests(self.log.store, b"", sweep) is None
        assert retention.sweep_standings(self.log.store, b"", sweep) is None

    @rule()
    def back_up(self) -> None:
        """Make a backup, in the place of an earlier one."""
        rmtree(self.directory / "backup", ignore_errors=True)
        backup(self.log.store, self.directory / "backup", 0)
        self.saved = deepcopy(self.reference), dict(self.tombs)

    @precondition(lambda self: self.saved is not None)
    @rule()
    def restore(self) -> None:
        """Lose all since the backup but the tombstones."""
        assert self.saved is not None
        self.reference, known = deepcopy(self.saved)
        tombstones = self.place / TOMBSTONE_FILE
        self.log.close()
        self.generation += 1
        restored = restore(
            self.directory / "backup",
            self.place,
            open_log=open_log,
            tombstone_files=[tombstones] if tombstones.exists() else [],
        )
        gone = Removed()
        for subject, through in self.tombs.items():
            if known.get(subject, b"") < through:
                gone += self.reference.erase(subject, through)
        assert restored.erased == gone
        self.erased_at_ms = restored_at_ms(self.place)
        self.log = open_log(self.place)

    @rule()
    def restart(self) -> None:
        """Close the log and open it again."""
        self.log.close()
        self.log = open_log(self.place)

    @invariant()
    def everything_is_there_once(self) -> None:
        """Join, orphans, look-ups and counts agree with the reference."""
        logged = list(self.log.scan(slice_size=2))
        assert [each.decision for each in logged] == [
            self.reference.decisions[key] for key in sorted(self.reference.decisions)
        ]
        orphans = list(self.log.orphans(slice_size=2))
        joined: list[object] = [report for each in logged for report in each.deliveries]
        joined += [report for each in logged for report in each.rewards]
        stored = [*self.reference.deliveries.values(), *self.reference.rewards.values()]
        assert sorted(map(repr, joined + list(orphans))) == sorted(map(repr, stored))
        assert {each.decision_id for each in orphans}.isdisjoint(self.reference.decisions)
        for key, decision in self.reference.requests.items():
            assert self.log.find_request(key) == decision
        assert self.log.counts() == self.reference.counts()

    @invariant()
    def what_counts_is_what_happened(self) -> None:
        """Standings, budgets, reservations and the audit trail agree with the reference."""
        for subject in SUBJECTS:
            assert self.log.standing(subject) == self.reference.standing(subject)
        assert self.log.spent(BUDGETS) == self.reference.spent()
        decided = {
            each.decision_id: each.contact
            for each in reservations(self.log, slice_size=2)
            if each.contact is not None
        }
        assert decided == self.reference.decided
        taken = self.log.taken()
        assert taken.erased == self.reference.removed("erased")
        assert taken.expired == self.reference.removed("expired")
        gone = taken.erased.contacts + taken.expired.contacts
        assert taken.contacts == len(decided) + gone
        gone = taken.erased.decisions + taken.expired.decisions
        assert taken.decisions == len(self.reference.decisions) + gone
        audited = [
            each.decision_id for each in self.log.audit_trail(slice_size=2) if each.decision_id
        ]
        assert audited == sorted(self.reference.audited)


TestLog = LogMachine.TestCase
TestLog.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
