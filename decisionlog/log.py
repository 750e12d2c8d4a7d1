"""The decision log as server and replay see it: durable before it answers, each report once."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import time_ns
from typing import Final, Self, TypeVar

from decisionlog import schema
from decisionlog.acts import RecordAct, new_act, this_user
from decisionlog.committer import Committer, CommitterClosedError, OnCommit
from decisionlog.contacts import AuditEntry, AuditKind, Proposal
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
    new_or_refused,
    new_report,
)
from decisionlog.reading import LogReader
from decisionlog.records import Decision, Delivery, ReportOutcome, Reward
from decisionlog.standings import follow_delivery
from decisionlog.store import Store
from decisionlog.tickets import Operation, Ticket

_NS_PER_MS: Final = 1_000_000

_Result = TypeVar("_Result")


def _now_ms() -> int:
    return time_ns() // _NS_PER_MS


class DecisionLog(LogReader):
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
        super().__init__(store)
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
        contact and its audit entry: no other process can come between. Where it says no,
        `Proposal.again` makes the proposal anew, for `operations.AGAIN_MAX` of a call.

        Returns:
            For each: the very decision that was given or made anew, if it was stored now; the
            decision that answered the same request before, read from the log (`is not` the given
            one); or an error, and nothing of this one was stored: RequestIdReused (same request
            id, another digest), DecisionIdReused, ContactRefused (`admit` said no: choose again),
            SubjectErased (while it was made: choose again), AdmissionFailed (`admit` or `again`
            raised its cause), DamagedRecord (the earlier one, or what counts for its subject),
            InvalidRecord (this one has no stored form; RecordTooLarge if its size alone is the
            reason).

        Raises:
            LogFull: There is no room; nothing was stored.
            LogUnavailable: The log cannot be written; nothing was acknowledged.
        """
        return self.submit(proposals).result()

    def submit(self, proposals: Sequence[Proposal]) -> Ticket[list[Decision | DecisionLogError]]:
        """Do as `record`, but return at once.

        Returns:
            A ticket. Its `result` is that of `record`, and they are on disk once it has returned,
            not before somebody waits for it.
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

    def _submit(self, operation: Operation[_Result], records: int) -> Ticket[_Result]:
        if self._committer is None:
            raise LogReadOnly(self._store.directory)
        try:
            return self._committer.submit(operation, records)
        except CommitterClosedError as error:
            raise LogClosed(self._store.directory) from error
