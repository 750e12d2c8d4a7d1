"""Group commit without a timer: take all that waits, commit it, answer, repeat.

Under load a batch grows by what arrives during the commit before it, so the cost of a sync is
shared; without load an operation waits for nobody.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import perf_counter
from typing import Any, Final, TypeVar

from decisionlog.drafts import Draft
from decisionlog.schema import increase
from decisionlog.store import WriteTransaction
from decisionlog.tickets import Ticket

MAX_BATCH_RECORDS: Final = 4096
"""A batch ends with the operation that brings it to this size; keeps transactions bounded."""

_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)

Operation = Callable[[Draft], _Result]
"""Reads and writes in the transaction it is given; what it raises goes to its own ticket, and then
nothing of it is written."""

OnCommit = Callable[[float, int], None]
"""Told after each commit that succeeded: how long it took in seconds, and how many operations it
held."""


_Job = tuple[Operation[Any], int, Ticket[Any]]
"""An operation, how many records it may write, and whom to answer: one for each decision, and a
dataclass would take as long as all the rest of queueing it."""


class CommitterClosedError(Exception):
    """An operation came after `Committer.close`."""


class Committer:
    """The one thread of this process that writes."""

    def __init__(
        self,
        write: Callable[[], AbstractContextManager[WriteTransaction]],
        *,
        on_commit: OnCommit | None = None,
        clock_s: Callable[[], float] = perf_counter,
        max_batch_records: int = MAX_BATCH_RECORDS,
    ) -> None:
        """Start the thread.

        Args:
            write: Opens a write transaction that commits to disk at its end.
            on_commit: See `OnCommit`; runs in the committing thread, so it must be quick.
            clock_s: Monotonic, seconds.
            max_batch_records: See `MAX_BATCH_RECORDS`.
        """
        self._write = write
        self._on_commit = on_commit
        self._clock_s = clock_s
        self._max_batch_records = max_batch_records
        self._waiting: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = Lock()
        self._closed = False
        self._thread = Thread(target=self._run, name="decision-log-committer", daemon=True)
        self._thread.start()

    def submit(self, operation: Operation[_Result], records: int = 1) -> Ticket[_Result]:
        """Queue an operation.

        Args:
            operation: What to do.
            records: How many records it may write.

        Returns:
            A ticket, answered when the result is on disk. It fails with what the operation
            raised, or, for all of a batch, with what the commit raised.

        Raises:
            CommitterClosed: It takes no more.
        """
        ticket: Ticket[_Result] = Ticket()  # Ticket[_Result]() would cost more than all it does
        with self._lock:
            if self._closed:
                raise CommitterClosedError
            self._waiting.put((operation, records, ticket))
        return ticket

    def close(self) -> None:
        """Take no more, commit all that waits, end the thread."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        for batch in self._batches():
            self._commit(batch)

    def _batches(self) -> Iterator[list[_Job]]:
        """Yield what waits, until the mark that `close` leaves."""
        while (job := self._waiting.get()) is not None:
            batch, is_last = self._batch(job)
            yield batch
            if is_last:
                return

    def _batch(self, first: _Job) -> tuple[list[_Job], bool]:
        batch, records = [first], first[1]
        while records < self._max_batch_records:
            try:
                job = self._waiting.get_nowait()
            except Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
            records += job[1]
        return batch, False

    def _commit(self, batch: list[_Job]) -> None:
        started_s = self._clock_s()
        is_on_disk = self._put_on_disk(batch)
        seconds = self._clock_s() - started_s
        for _, _, ticket in batch:
            ticket.release()
        if is_on_disk:
            self._tell(seconds, len(batch))

    def _put_on_disk(self, batch: list[_Job]) -> bool:
        """Run and commit a batch; tell whether the commit succeeded. Tickets hold the outcome."""
        try:
            with self._write() as transaction:
                draft = Draft(transaction)
                _run_all(batch, draft)
                draft.write()
                for counter, count in draft.tallies().items():
                    increase(transaction, counter, count)
        except BaseException as error:  # noqa: BLE001 - whatever it is, callers wait for an answer
            for _, _, ticket in batch:
                ticket.hold_error(error)
            return False
        return True

    def _tell(self, seconds: float, operations: int) -> None:
        if self._on_commit is None:
            return
        try:
            self._on_commit(seconds, operations)
        except Exception:  # noqa: BLE001 - its faults must not stop the log
            _log.exception("the observer of commits failed")


def _run_all(batch: list[_Job], draft: Draft) -> None:
    for operation, _, ticket in batch:
        try:
            ticket.hold(operation(draft))
        except Exception as error:  # noqa: BLE001 - the caller's own; nothing of it is written
            draft.discard()
            ticket.hold_error(error)
        else:
            draft.apply()
