"""Group commit: what waits goes together, and everybody gets an answer."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from decisionlog.committer import Committer, CommitterClosedError
from decisionlog.drafts import Transaction
from decisionlog.tables import Table
from decisionlog.tickets import Ticket

KEY = b"key"


class FakeStore:
    """Keeps committed rows in memory; commits can be held up and made to fail."""

    def __init__(self) -> None:
        self.rows: dict[tuple[Table, bytes], bytes] = {}
        self.pending: dict[tuple[Table, bytes], bytes] = {}
        self.batches: list[int] = []
        self.error: BaseException | None = None
        self.begun = Event()
        self.go_on = Event()
        self.go_on.set()

    @contextmanager
    def write(self) -> Iterator["FakeStore"]:
        """Be a write transaction."""
        self.begun.set()
        self.go_on.wait()
        self.pending = dict(self.rows)
        yield self
        if self.error is not None:
            raise self.error
        self.rows = self.pending

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Look up within the transaction."""
        return self.pending.get((table, key))

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """Write within the transaction."""
        self.pending[table, key] = value

    def get_all(self, table: Table, keys: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        """Look many rows up."""
        found = [(key, self.get(table, key)) for key in keys]
        return [(key, value) for key, value in found if value is not None]

    def put_all(self, table: Table, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Write many rows within the transaction."""
        self.pending |= {(table, key): value for key, value in rows}

    def delete(self, table: Table, key: bytes) -> bool:
        """Remove a row within the transaction."""
        return self.pending.pop((table, key), None) is not None

    def observe(self, _: float, operations: int) -> None:
        """Be told of a commit."""
        self.batches.append(operations)


@pytest.fixture
def store() -> FakeStore:
    """Return an empty store."""
    return FakeStore()


def committer_on(store: FakeStore, **options: object) -> Committer:
    """Return a committer that writes to a store and tells it of its commits."""
    return Committer(store.write, on_commit=store.observe, **options)  # type: ignore[arg-type]


def append(letter: bytes) -> Callable[[Transaction], bytes]:
    """Return an operation that appends to the row and returns it."""

    def operation(transaction: Transaction) -> bytes:
        value = (transaction.get(Table.META, KEY) or b"") + letter
        transaction.put(Table.META, KEY, value)
        return value

    return operation


def fail_after_writing(transaction: Transaction) -> None:
    """Write, then fail."""
    transaction.put(Table.META, KEY, b"never")
    raise LookupError("refused")


def is_answered(ticket: Ticket[bytes]) -> bool:
    """Tell whether `result` would return at once."""
    return not ticket._answered.locked()


def hold_up(store: FakeStore, committer: Committer) -> None:
    """Let the committer begin a batch of one and stop there, so that others gather."""
    store.go_on.clear()
    committer.submit(append(b"-"))
    store.begun.wait()


def test_what_waits_is_committed_together_in_order(store: FakeStore) -> None:
    """Operations that come during a commit form the next batch and run in the order they came."""
    committer = committer_on(store)
    hold_up(store, committer)
    tickets = [committer.submit(append(letter)) for letter in (b"a", b"b", b"c")]
    store.go_on.set()
    assert [ticket.result() for ticket in tickets] == [b"-a", b"-ab", b"-abc"]
    committer.close()
    assert store.batches == [1, 3]


def test_nobody_is_answered_before_the_commit(store: FakeStore) -> None:
    """A ticket has no answer while its batch is not on disk."""
    committer = committer_on(store)
    store.go_on.clear()
    ticket = committer.submit(append(b"a"))
    store.begun.wait()
    assert not is_answered(ticket)
    store.go_on.set()
    committer.close()
    assert is_answered(ticket)


def test_a_batch_is_bounded(store: FakeStore) -> None:
    """The operation that reaches the limit is the last of its batch."""
    committer = committer_on(store, max_batch_records=4)
    hold_up(store, committer)
    for records in (2, 3, 1, 3, 9):
        committer.submit(append(b"x"), records)
    store.go_on.set()
    committer.close()
    assert store.batches == [1, 2, 2, 1]


def test_a_failing_operation_writes_nothing_and_disturbs_nobody(store: FakeStore) -> None:
    """Its own ticket gets the error; the rest of the batch is committed as if it had not been."""
    committer = committer_on(store)
    hold_up(store, committer)
    before = committer.submit(append(b"a"))
    failing = committer.submit(fail_after_writing)
    after = committer.submit(append(b"b"))
    store.go_on.set()
    committer.close()
    with pytest.raises(LookupError, match="refused"):
        failing.result()
    assert (before.result(), after.result()) == (b"-a", b"-ab")
    assert store.rows == {(Table.META, KEY): b"-ab"}


def test_a_failing_commit_is_told_to_all(store: FakeStore) -> None:
    """If the commit fails, no ticket of the batch claims success, and the next batch goes on."""
    committer = committer_on(store)
    hold_up(store, committer)
    tickets = [committer.submit(append(letter)) for letter in (b"a", b"b")]
    store.error = OSError("disk on fire")
    store.go_on.set()
    for ticket in tickets:
        with pytest.raises(OSError, match="disk on fire"):
            ticket.result()
    store.error = None
    assert committer.submit(append(b"c")).result() == b"c"
    committer.close()
    assert store.batches == [1], "the observer was told of a commit that failed"


def test_closing_commits_what_waits(store: FakeStore) -> None:
    """Everything that was taken before `close` is on disk after it, and nothing is taken then."""
    committer = committer_on(store)
    hold_up(store, committer)
    tickets = [committer.submit(append(b"x")) for _ in range(100)]
    closing = Thread(target=committer.close)
    closing.start()
    store.go_on.set()
    closing.join()
    assert store.rows == {(Table.META, KEY): b"-" + 100 * b"x"}
    assert all(map(is_answered, tickets))
    with pytest.raises(CommitterClosedError):
        committer.submit(append(b"y"))
    committer.close()


def test_the_observer_is_told_seconds_and_operations(store: FakeStore) -> None:
    """The injected clock is read before and after the commit."""
    told: list[tuple[float, int]] = []
    readings = iter([10.0, 10.25])
    committer = Committer(
        store.write,  # type: ignore[arg-type]
        on_commit=lambda seconds, operations: told.append((seconds, operations)),
        clock_s=readings.__next__,
    )
    committer.submit(append(b"a")).result()
    committer.close()
    assert told == [(0.25, 1)]


def test_a_failing_observer_stops_nothing(
    store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    """What the observer raises is logged, and commits go on."""

    def observe(_: float, __: int) -> None:
        raise RuntimeError("no telemetry today")

    committer = Committer(store.write, on_commit=observe)  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR):
        assert committer.submit(append(b"a")).result() == b"a"
        assert committer.submit(append(b"b")).result() == b"ab"
        committer.close()
    assert "no telemetry today" in caplog.text


def test_many_threads_may_wait_for_one_ticket(store: FakeStore) -> None:
    """Every thread that waits gets the answer."""
    committer = committer_on(store)
    store.go_on.clear()
    ticket = committer.submit(append(b"a"))
    answers: list[bytes] = []
    threads = [Thread(target=lambda: answers.append(ticket.result())) for _ in range(8)]
    for thread in threads:
        thread.start()
    store.go_on.set()
    for thread in threads:
        thread.join()
    committer.close()
    assert answers == [b"a"] * 8
