"""All that is read from a log: single records, scans, what counts for a subject, and numbers."""

from collections.abc import Iterable, Iterator

from decisionlog import scan as scanning
from decisionlog import schema
from decisionlog.codec import decode_decision, decode_request
from decisionlog.contact_codec import decode_audit
from decisionlog.contacts import AuditEntry, BudgetKey, Spent, Standing
from decisionlog.counts import Counts, Taken, read_counts, read_taken
from decisionlog.cuts import cuts, even_cuts
from decisionlog.operations import answered_by
from decisionlog.records import Decision, Delivery, Reward
from decisionlog.scan import DEFAULT_SLICE_SIZE, LoggedDecision, OnDamage, raise_damage
from decisionlog.standings import read_spent, read_standing
from decisionlog.store import Store
from decisionlog.tables import Table


class LogReader:
    """The reading half of `log.DecisionLog`. Its methods may be called from any thread."""

    def __init__(self, store: Store) -> None:
        """Read from a store, prepared or checked by `schema`."""
        self._store = store

    @property
    def store(self) -> Store:
        """The tables, for what has transactions of its own: erasure, retention, backup."""
        return self._store

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
            return read_counts(transaction)

    def taken(self) -> Taken:
        """Return what the log has ever taken, at one moment."""
        with self._store.read() as transaction:
            return read_taken(transaction)

    def created_at_ms(self) -> int:
        """Return when the log was begun, Unix time."""
        with self._store.read() as transaction:
            return schema.created_at_ms(transaction)
