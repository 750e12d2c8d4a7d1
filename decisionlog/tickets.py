"""An answer that is to come: a future stripped to what the hot path needs.

`concurrent.futures.Future` costs as much as the rest of queueing a record (measured: 4 us of 9),
for callbacks, cancelling and timeouts that a commit to disk cannot use.
"""

from collections.abc import Callable
from threading import Lock
from typing import Any, Generic, TypeVar

from decisionlog.drafts import Draft

_Result = TypeVar("_Result")

Operation = Callable[[Draft], _Result]
"""Reads and writes in the draft it is given; what it raises goes to its own ticket, and then
nothing of it is written. It may be run twice, each time as if it were the first."""


class Ticket(Generic[_Result]):
    """Given out when an operation is queued; `result` sees to it that it is on disk."""

    __slots__ = ("_batch", "_error", "_operation", "_result")

    def __init__(self, operation: Operation[_Result], batch: "Batch") -> None:
        self._operation = operation
        self._batch = batch
        self._error: Exception | None = None
        self._result: _Result

    def run(self, draft: Draft) -> None:
        """Do what was queued, and keep what it returns; nobody sees it before the batch is done."""
        self._result = self._operation(draft)

    def fail(self, error: Exception) -> None:
        """Keep an error in the place of a result."""
        self._error = error

    def result(self) -> _Result:
        """Return the result when it is on disk; any number of threads may wait for it.

        Raises:
            BaseException: What the operation raised, or, for all of a batch, what its commit did.
        """
        batch = self._batch
        if not batch.is_done:
            batch.settle()
        error = self._error or batch.error
        if error is not None:
            raise error
        return self._result


class Batch:
    """Tickets that are committed together."""

    __slots__ = ("_commit_up_to", "_turn", "error", "is_done", "records", "tickets")

    def __init__(self, commit_up_to: Callable[["Batch"], None]) -> None:
        """Begin without tickets.

        Args:
            commit_up_to: Commits what waits, this batch the last; called by one thread at a time.
        """
        self.tickets: list[Ticket[Any]] = []
        self.records = 0
        """How many records they may write."""
        self.is_done = False
        """Whether it was committed, or never will be."""
        self.error: BaseException | None = None
        """What the commit raised."""
        self._commit_up_to = commit_up_to
        self._turn = Lock()

    def settle(self) -> None:
        """See to it that it is done: the first thread that waits does it for the others."""
        with self._turn:
            if not self.is_done:
                self._commit_up_to(self)

    def end(self, error: BaseException | None = None) -> None:
        """Let everybody who waits have their answer."""
        self.error = error
        self.tickets = []  # else each ticket would keep all others
        self.is_done = True
