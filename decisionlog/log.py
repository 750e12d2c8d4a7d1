"""The decision log as server and replay see it: durable before it answers, each report once."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time_ns
from typing import Final, Self, TypeVar

from decisionlog import scan as scanning
from decisionlog import schema
from decisionlog.acts import RecordAct, new_act, this_user
from decisionlog.codec import decode_decision, decode_request
from decisionlog.committer import Committer, CommitterClosedError, OnCommit, Operation
from decisionlog.contact_codec import decode_audit, decode_reservation
from decisionlog.contacts import (
    AuditEntry,
    AuditKind,
    BudgetKey,
    Proposal,
    Reservation,
    Spent,
    Standing,
)
from decisionlog.cuts import cuts, even_cuts
from decisionlog.encryption import Sealer
from decisionlog.errors import DecisionLogError, LogClosed, LogReadOnly
from decisionlog.ids import DecisionIds
from decisionlog.key_ring import RingSource, no_keys
from decisionlog.keys import Keys
from decisionlog.operations import (
    DELIVERY,
    REWARD,
    Listening,
    RecordDecisions,
    StoreReports,
    answered_by,
    new_or_refused,
    new_report,
)
from decisionlog.records import Decision, Delivery, ReportOutcome, Reward
from decisionlog.removal import ERASED, EXPIRED, Removed, removed
from decisionlog.scan import DEFAULT_SLICE_SIZE, LoggedDecision, OnDamage, raise_damage
from decisionlog.standings import follow_delivery, read_spent, read_standing
from decisionlog.store import Store
from decisionlog.tables import Counter, Table
from decisionlog.tickets import Ticket

_NS_PER_MS: Final = 1_000_000

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Counts:
    """What the log holds, at one moment."""

    decisions: int
    deliveries: int
    rewards: int
    requests: int
    """Request ids that are remembered."""
    deliveries_repeated: int
    """Reports that were taken before and are not stored again."""
    rewards_repeated: int
    """Reports that were taken before and are not stored again."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What the log has ever taken, counted when it was stored: what was deleted since is in it."""

    decisions: int
    deliveries: int
    rewards: int
    deliveries_repeated: int
    """Reports that were taken before and are not stored again."""
    rewards_repeated: int
    """Reports that were taken before and are not stored again."""
    contacts: int
    """Messages that decisions reserved."""
    erased: Removed
    """What of it was erased with its subject."""
    expired: Removed
    """What of it was removed by retention."""


def _now_ms() -> int:
    return time_ns() // _NS_PER_MS


class DecisionLog:
    """One log, open in this process; other processes may have it open as well.

    All methods may be called from any thread.
    """

    def __init__(
        self, store: Store, committer: Committer | None, clock_ms: Callable[[], int] = _now_ms
    ) -> None:
        """Join the parts; `open` is the usual way.

        Args:
            store: Prepared or checked by `schema`.
            committer: Writes to the store; None for a log that is only read.
            clock_ms: Unix time, noted in acts.
        """
        self._store = store
        self._committer = committer
        self._act_ids = DecisionIds(clock_ms)

    @classmethod
    def open(  # noqa: PLR0913 - what is injected stands in the open
        cls,
        directory: Path,
        *,
        keys: Keys | None,
        read_only: bool = False,
        map_size_bytes: int | None = None,
        clock_ms: Callable[[], int] = _now_ms,
        on_commit: OnCommit | None = None,
        key_ring: RingSource = no_keys,
    ) -> Self:
        """Open the log of a data directory; begin one if there is none and it is to be written.

        Args:
            directory: The data directory.
            keys: Must be those that the log was begun with. None: not checked; enough to read, and
                to write to a log that exists.
            read_only: Never write.
            map_size_bytes: The most that the file can grow to; None: what it could until now, or
                `store.DEFAULT_MAP_SIZE_BYTES` for a new one. Readers take the writer's.
            clock_ms: Unix time, noted in a new log and in acts.
            on_commit: Told of every commit that succeeded: seconds, operations.
            key_ring: Keys of encrypted records. Where it has any, a log that is to be written is
                encrypted under the newest from now on; none writes a log in plain form.

        Raises:
            LogMissing: There is none to read.
            KeyRequired: A new log was to be begun without keys.
            WrongKey: The log was begun with other keys.
            RecordKeyMissing: The log is encrypted under a key that the ring does not have.
            KeyFileError: The key ring cannot be used.
            UnknownSchema: The log was written by another version of the program.
            LogDamaged: The file is broken.
            LogUnavailable: The file cannot be opened, or is open in this process already.
        """
        fingerprint = None if keys is None else keys.fingerprint
        sealer = Sealer(key_ring)
        store = Store(directory, read_only=read_only, map_size_bytes=map_size_bytes, sealer=sealer)
        try:
            if read_only:
                schema.check(store, fingerprint)
                return cls(store, None, clock_ms)
            schema.prepare(store, fingerprint, clock_ms())
            return cls(store, Committer(store.write, on_commit=on_commit), clock_ms)
        except BaseException:
            store.close()
            raise

    @property
    def store(self) -> Store:
        """The tables, for what has transactions of its own: erasure, retention, backup."""
        return self._store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Commit what waits, then close the file."""
        if self._committer is not None:
            self._committer.close()
        self._store.close()

    def record(self, proposals: Sequence[Proposal]) -> list[Decision | DecisionLogError]:
        """Store decisions with what they reserve; return when they are on disk.

        A request that was answered before is answered the same again and asks nobody. For any
        other, `Proposal.admit` is asked within the transaction that stores the decision, its
        contact and its audit entry: no other process can come between.

        Returns:
            For each: the very decision that was given, if it was stored now; the decision that
            answered the same request before, read from the log (`is not` the given one); or an
            error, and nothing of this one was stored: RequestIdReused (same request id, another
            digest), DecisionIdReused, ContactRefused (`admit` said no: choose again),
            AdmissionFailed (`admit` raised its cause), DamagedRecord (the earlier one, or what
            counts for its subject), InvalidRecord (this one has no stored form; RecordTooLarge if
            its size alone is the reason).

        Raises:
            LogFull: There is no room; nothing was stored.
            LogUnavailable: The log cannot be written; nothing was acknowledged.
        """
        return self.submit(proposals).result()

    def submit(self, proposals: Sequence[Proposal]) -> Ticket[list[Decision | DecisionLogError]]:
        """Do as `record`, but return at once.

        Returns:
            A ticket, answered when the decisions are on disk.
        """
        operation = RecordDecisions([new_or_refused(each) for each in proposals])
        return self._submit(operation, len(proposals))

    def report_deliveries(
        self, deliveries: Sequence[Delivery]
    ) -> list[ReportOutcome | DecisionLogError]:
        """Store reports on deliveries; return when they are on disk.

        A report with the id of an earlier one is a repeat if it says the same. The time of receipt
        does not count; the time of occurrence does not if both were stamped on receipt, that is,
        if in both `occurred_at_ms` equals `received_at_ms`.

        In the same transaction the decision's contact is confirmed (SENT), released (FAILED,
        SUPPRESSED) or changed to what was really sent (OVERRIDDEN, also where the decision itself
        sent nothing). Of several reports the one that occurred last decides, in whatever order
        they come, see `contacts.precedence`.

        Returns:
            For each: ACCEPTED; REPEATED (counted, not stored again); UNMATCHED (stored, but there
            is no such decision yet); or an error, and nothing of this one was stored:
            DeliveryIdReused (the earlier one says something else), DamagedRecord (the earlier one,
            or what counts for its subject).

        Raises:
            InvalidRecord: One of them has no stored form; nothing was stored.
            LogFull: There is no room; nothing was stored.
            LogUnavailable: The log cannot be written; nothing was acknowledged.
        """
        operation = StoreReports(
            DELIVERY, [new_report(DELIVERY, each) for each in deliveries], follow_delivery
        )
        return self._submit(operation, len(deliveries)).result()

    def report_rewards(
        self, rewards: Sequence[Reward], listened: frozenset[str] = frozenset()
    ) -> list[ReportOutcome | DecisionLogError]:
        """Store rewards; return when they are on disk.

        Repeats, results and errors are those of `report_deliveries`, with RewardIdReused.

        Args:
            rewards: In any order, on any decisions.
            listened: Names of the rewards that rules and history listen to. In the same
                transaction they become responses of the subject, if the decision is known by then
                and has a contact, released or not.
        """
        operation = StoreReports(
            REWARD, [new_report(REWARD, each) for each in rewards], Listening(listened)
        )
        return self._submit(operation, len(rewards)).result()

    def record_act(
        self, kind: AuditKind, details: Mapping[str, object], by: str | None = None
    ) -> AuditEntry:
        """Store in the audit trail what somebody did who runs the service; return when on disk.

        Args:
            kind: What was done.
            details: More on it, in words of the command line; never a subject's own id.
            by: Who did it; None: the user that runs this process.

        Raises:
            InvalidRecord: A text has no stored form.
            LogFull: There is no room; nothing was stored.
            LogUnavailable: The log cannot be written.
        """
        act = new_act(self._act_ids.new(), kind, details, by or this_user())
        return self._submit(RecordAct(act), 1).result()

    def standing(self, subject: bytes) -> Standing:
        """Return what counts for a subject now; empty if it is not known.

        Args:
            subject: 16 bytes, from `Keys.pseudonym`.

        Raises:
            DamagedRecord: It is not what was written.
        """
        with self._store.read() as transaction:
            return read_standing(transaction, subject)

    def spent(self, budgets: Iterable[BudgetKey]) -> Spent:
        """Return what was sent on days of budgets, at one moment.

        Returns:
            For each of the budgets that were asked for the messages by hour, `HOURS` numbers.

        Raises:
            DamagedRecord: One is not what was written.
        """
        with self._store.read() as transaction:
            return read_spent(transaction, budgets)

    def standing_and_spent(
        self, subject: bytes, budgets: Iterable[BudgetKey]
    ) -> tuple[Standing, Spent]:
        """Return `standing` and `spent`, both at one moment."""
        with self._store.read() as transaction:
            return read_standing(transaction, subject), read_spent(transaction, budgets)

    def find_request(self, request_key: bytes) -> Decision | None:
        """Return the decision that answered a request; compare its digest before using it.

        Args:
            request_key: From `Keys.request_key`.

        Raises:
            DamagedRecord: The request or its decision is damaged.
        """
        with self._store.read() as transaction:
            found = transaction.get(Table.REQUESTS, request_key)
            if found is None:
                return None
            decision_id, _ = decode_request(request_key, found)
            return answered_by(transaction, request_key, decision_id)

    def decision(self, decision_id: bytes) -> Decision | None:
        """Return a decision by its id, None if there is none.

        Raises:
            DamagedRecord: It is not what was written.
        """
        with self._store.read() as transaction:
            value = transaction.get(Table.DECISIONS, decision_id)
        return None if value is None else decode_decision(decision_id, value)

    def scan(
        self,
        *,
        start: bytes = b"",
        until: bytes | None = None,
        slice_size: int = DEFAULT_SLICE_SIZE,
        on_damage: OnDamage = raise_damage,
    ) -> Iterator[LoggedDecision]:
        """Yield decisions with their reports, in the order of their ids; see `scan.scan`."""
        return scanning.scan(
            self._store, start=start, until=until, slice_size=slice_size, on_damage=on_damage
        )

    def cuts(self, every: int, *, start: bytes = b"", until: bytes | None = None) -> list[bytes]:
        """Return the ids at which stretches of so many decisions begin; see `cuts.cuts`."""
        return cuts(self._store, every, start, until)

    def even_cuts(self, parts: int) -> list[bytes]:
        """Return the ids that cut the log into parts of equal time; see `cuts.even_cuts`."""
        return even_cuts(self._store, parts)

    def orphans(
        self,
        *,
        start: bytes = b"",
        until: bytes | None = None,
        slice_size: int = DEFAULT_SLICE_SIZE,
        on_damage: OnDamage = raise_damage,
    ) -> Iterator[Delivery | Reward]:
        """Yield the reports on decisions that the log does not hold; see `scan.orphans`."""
        return scanning.orphans(
            self._store, start=start, until=until, slice_size=slice_size, on_damage=on_damage
        )

    def reservations(
        self,
        *,
        start: bytes = b"",
        until: bytes | None = None,
        slice_size: int = DEFAULT_SLICE_SIZE,
        on_damage: OnDamage = raise_damage,
    ) -> Iterator[Reservation]:
        """Yield what each decision reserved, in the order of their ids; see `scan.rows_of`."""
        return scanning.rows_of(
            self._store,
            Table.CONTACTS,
            decode_reservation,
            start=start,
            until=until,
            slice_size=slice_size,
            on_damage=on_damage,
        )

    def audit_trail(
        self,
        *,
        start: bytes = b"",
        until: bytes | None = None,
        slice_size: int = DEFAULT_SLICE_SIZE,
        on_damage: OnDamage = raise_damage,
    ) -> Iterator[AuditEntry]:
        """Yield what happened outside the usual rules, in order of time; see `scan.rows_of`."""
        return scanning.rows_of(
            self._store,
            Table.AUDIT,
            decode_audit,
            start=start,
            until=until,
            slice_size=slice_size,
            on_damage=on_damage,
        )

    def counts(self) -> Counts:
        """Return what the log holds, at one moment."""
        with self._store.read() as transaction:
            return Counts(
                decisions=transaction.count(Table.DECISIONS),
                deliveries=transaction.count(Table.DELIVERIES),
                rewards=transaction.count(Table.REWARDS),
                requests=transaction.count(Table.REQUESTS),
                deliveries_repeated=schema.count(transaction, Counter.DELIVERIES_REPEATED),
                rewards_repeated=schema.count(transaction, Counter.REWARDS_REPEATED),
            )

    def taken(self) -> Taken:
        """Return what the log has ever taken, at one moment."""
        with self._store.read() as transaction:
            return Taken(
                decisions=schema.count(transaction, Counter.DECISIONS),
                deliveries=schema.count(transaction, Counter.DELIVERIES),
                rewards=schema.count(transaction, Counter.REWARDS),
                deliveries_repeated=schema.count(transaction, Counter.DELIVERIES_REPEATED),
                rewards_repeated=schema.count(transaction, Counter.REWARDS_REPEATED),
                contacts=schema.count(transaction, Counter.CONTACTS),
                erased=removed(transaction, ERASED),
                expired=removed(transaction, EXPIRED),
            )

    def created_at_ms(self) -> int:
        """Return when the log was begun, Unix time."""
        with self._store.read() as transaction:
            return schema.created_at_ms(transaction)

    def _submit(self, operation: Operation[_Result], records: int) -> Ticket[_Result]:
        if self._committer is None:
            raise LogReadOnly(self._store.directory)
        try:
            return self._committer.submit(operation, records)
        except CommitterClosedError as error:
            raise LogClosed(self._store.directory) from error
