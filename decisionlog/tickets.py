"""An answer that is to come: a future stripped to what the hot path needs.

`concurrent.futures.Future` costs as much as the rest of queueing a record (measured: 4 us of 9),
for callbacks, cancelling and timeouts that a commit to disk cannot use.
"""

from threading import Lock
from typing import Generic, TypeVar

_Result = TypeVar("_Result")


class Ticket(Generic[_Result]):
    """Given out when an operation is queued, answered once when it is on disk."""

    __slots__ = ("_answered", "_error", "_result")

    def __init__(self) -> None:
        self._answered = Lock()
        self._answered.acquire()
        self._error: BaseException | None = None
        self._result: _Result

    def hold(self, result: _Result) -> None:
        """Note the result; nobody sees it before `release`."""
        self._result = result

    def hold_error(self, error: BaseException) -> None:
        """Note an error, in the place of a result if there is one."""
        self._error = error

    def release(self) -> None:
        """Answer whoever waits."""
        self._answered.release()

    def result(self) -> _Result:
        """Wait for the answer and return it; any number of threads may.

        Raises:
            BaseException: What the ticket failed with.
        """
        with self._answered:
            pass
        if self._error is not None:
            raise self._error
        return self._result
