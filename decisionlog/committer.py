"""Group commit without a timer: take all that waits, commit it, answer, repeat.

Whoever waits for an answer commits for all who wait; those who come meanwhile form the next batch.
So under load a batch grows by what arrives during the commit before it, and the cost of a sync is
shared; without load an operation waits for nobody, and no other thread has to be woken.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from threading import Lock
from time import perf_counter
from typing import Any, Final, TypeVar

from decisionlog.drafts import Draft
from decisionlog.schema import erased_before, increase
from decisionlog.store import WriteTransaction
from decisionlog.tickets import Batch, Operation, Ticket

MAX_BATCH_RECORDS: Final = 4096
"""A batch ends with the operation that brings it to this size; keeps transactions bounded."""

_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)

OnCommit = Callable[[float, int], None]
"""Told after each commit that succeeded: how long it took in seconds, and how many operations it
held."""


class CommitterClosedError(Exception):
    """An operation came after `Committer.close`."""


class Committer:
    """All writes of this process go through it, one batch at a time, in the order they came."""

    def __init__(
        self,
        write: Callable[[], AbstractContextManager[WriteTransaction]],
        *,
        on_commit: OnCommit | None = None,
        clock_s: Callable[[], float] = perf_counter,
        max_batch_records: int = MAX_BATCH_RECORDS,
    ) -> None:
        """Begin with nothing waiting.

        Args:
            write: Opens a write transaction that commits to disk at its end.
            on_commit: See `OnCommit`; others wait while it runs, so it must be quick.
            clock_s: Monotonic, seconds.
            max_batch_records: See `MAX_BATCH_RECORDS`.
        """
        self._write = write
        self._on_commit = on_commit
        self._clock_s = clock_s
        self._max_batch_records = max_batch_records
        self._queue = Lock()
        self._waiting: deque[Batch] = deque()
        self._gathering = Batch(self._commit_up_to)
        self._is_closed = False
        self._writing = Lock()

    def submit(self, operation: Operation[_Result], records: int = 1) -> Ticket[_Result]:
        """Queue an operation.

        Args:
            operation: What to do.
            records: How many records it may write.

        Returns:
            A ticket. Nothing is on disk before its `result` has returned: that commits it, unless
            others that waited have done so. It fails with what the operation raised, or, for all
            of a batch, with what the commit raised.

        Raises:
            CommitterClosedError: It takes no more.
        """
        with self._queue:
            if self._is_closed:
                raise CommitterClosedError
            batch = self._gathering
            ticket: Ticket[_Result] = Ticket(operation, batch)
            if not batch.tickets:
                self._waiting.append(batch)
            batch.tickets.append(ticket)
            batch.records += records
            if batch.records >= self._max_batch_records:
                self._gathering = Batch(self._commit_up_to)
        return ticket

    def close(self) -> None:
        """Take no more, and commit all that waits."""
        with self._queue:
            self._is_closed = True
        with self._writing:
            while self._waiting:
                self._commit()

    def _commit_up_to(self, last: Batch) -> None:
        with self._writing:
            while not last.is_done:
                self._commit()

    def _commit(self) -> None:
        """Commit the batch that has waited longest."""
        started_s = self._clock_s()
        batch: Batch | None = None
        try:
            # Another process may be writing: what comes until it has ended is still of the batch.
            with self._write() as transaction:
                batch = self._next()
                _run(batch.tickets, transaction)
        except BaseException as error:  # noqa: BLE001 - whatever it is, callers wait for an answer
            (batch or self._next()).end(error)
        else:
            seconds, operations = self._clock_s() - started_s, len(batch.tickets)
            batch.end()
            self._tell(seconds, operations)

    def _next(self) -> Batch:
        """Return the batch that has waited longest; what comes from now on is not of it."""
        with self._queue:
            batch = self._waiting.popleft()
            if batch is self._gathering:
                self._gathering = Batch(self._commit_up_to)
        return batch

    def _tell(self, seconds: float, operations: int) -> None:
        if self._on_commit is None:
            return
        try:
            self._on_commit(seconds, operations)
        except Exception:  # noqa: BLE001 - its faults must not stop the log
            _log.exception("the observer of commits failed")


def _run(tickets: Sequence[Ticket[Any]], transaction: WriteTransaction) -> None:
    draft = Draft(transaction, erased_before(transaction))
    try:
        for ticket in tickets:
            ticket.run(draft)
    except Exception:  # noqa: BLE001 - it will be raised again, where it can be told whose it is
        # It should not come to this, so nothing is prepared for it: begin anew, one by one.
        for ticket in tickets:
            _run_alone(ticket, transaction)
    else:
        _write(draft, transaction)


def _run_alone(ticket: Ticket[Any], transaction: WriteTransaction) -> None:
    draft = Draft(transaction, erased_before(transaction))
    try:
        ticket.run(draft)
    except Exception as error:  # noqa: BLE001 - the caller's own; nothing of it is written
        ticket.fail(error)
    else:
        _write(draft, transaction)


def _write(draft: Draft, transaction: WriteTransaction) -> None:
    draft.write()
    for counter, count in draft.tallies().items():
        increase(transaction, counter, count)
