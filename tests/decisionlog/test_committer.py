"""Group commit: what waits goes together, and everybody gets an answer."""

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from threading import Event, Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decisionlog.committer import Committer, CommitterClosedError
from decisionlog.drafts import Transaction
from decisionlog.tables import BY_DECISION, Table

KEY = b"key"


class FakeStore:
    """Keeps committed rows in memory; transactions can be held up, and commits made to fail."""

    def __init__(self) -> None:
        self.rows: dict[tuple[Table, bytes], bytes] = {}
        self.pending: dict[tuple[Table, bytes], bytes] = {}
        self.batches: list[int] = []
        self.error: BaseException | None = None
        self.asked = Event()
        self.may_begin = Event()
        self.begun = Event()
        self.go_on = Event()
        self.may_begin.set()
        self.go_on.set()

    @contextmanager
    def write(self) -> Iterator["FakeStore"]:
        """Be a write transaction."""
        self.asked.set()
        self.may_begin.wait()
        self.pending = dict(self.rows)
        yield self
        self.begun.set()
        self.go_on.wait()
        if self.error is not None:
            raise self.error
        self.rows = self.pending

    def newest(self) -> bytes:
        """Find the greatest key that a new decision could meet."""
        return max((key for table, key in self.pending if table in BY_DECISION), default=b"")

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


def answered(committer: Committer, letter: bytes) -> "Future[bytes]":
    """Append a letter from a thread of its own, which then waits for the answer."""
    return in_thread(committer.submit(append(letter)).result)


def in_thread(wait: Callable[[], bytes]) -> "Future[bytes]":
    """Wait for something in a thread of its own."""
    with_one = ThreadPoolExecutor(1)
    found = with_one.submit(wait)
    with_one.shutdown(wait=False)
    return found


def hold_up(store: FakeStore, committer: Committer) -> None:
    """Let a thread begin to commit a batch of one and stop there, so that others gather."""
    store.go_on.clear()
    answered(committer, b"-")
    store.begun.wait()


def test_what_waits_is_committed_together_in_order(store: FakeStore) -> None:
    """Operations that come during a commit form the next batch and run in the order they came."""
    committer = committer_on(store)
    hold_up(store, committer)
    tickets = [committer.submit(append(letter)) for letter in (b"a", b"b", b"c")]
    store.go_on.set()
    assert [ticket.result() for ticket in reversed(tickets)] == [b"-abc", b"-ab", b"-a"]
    committer.close()
    assert store.batches == [1, 3]


def test_what_comes_while_another_process_writes_is_committed_together(store: FakeStore) -> None:
    """A batch is not closed before its transaction has begun, however long that takes."""
    committer = committer_on(store)
    store.may_begin.clear()
    first = answered(committer, b"a")
    store.asked.wait()
    later = [committer.submit(append(letter)) for letter in (b"b", b"c")]
    store.may_begin.set()
    assert first.result() == b"a"
    assert [ticket.result() for ticket in later] == [b"ab", b"abc"]
    assert store.batches == [3]
    committer.close()


def test_a_transaction_that_cannot_begin_is_told_to_all(store: FakeStore) -> None:
    """Everybody of the batch that waited has the error, and the next one is tried anew."""
    failing = [OSError("no way in")]

    def write() -> AbstractContextManager[FakeStore]:
        if failing:
            raise failing.pop()
        return store.write()

    committer = Committer(write, on_commit=store.observe)  # type: ignore[arg-type]
    tickets = [committer.submit(append(letter)) for letter in (b"a", b"b")]
    for ticket in tickets:
        with pytest.raises(OSError, match="no way in"):
            ticket.result()
    assert committer.submit(append(b"c")).result() == b"c"
    committer.close()
    assert store.batches == [1]


def test_nobody_is_answered_before_the_commit(store: FakeStore) -> None:
    """Nobody who waits has an answer while the batch is not on disk, whoever commits it."""
    committer = committer_on(store)
    hold_up(store, committer)
    tickets = [committer.submit(append(b"a")) for _ in range(3)]
    waiting = [in_thread(ticket.result) for ticket in tickets]
    assert not any(each.done() for each in waiting)
    store.go_on.set()
    assert [each.result() for each in waiting] == [b"-a", b"-aa", b"-aaa"]
    committer.close()


def test_a_batch_is_bounded(store: FakeStore) -> None:
    """The operation that reaches the limit is the last of its batch."""
    committer = committer_on(store, max_batch_records=4)
    for records in (2, 3, 1, 3, 9):
        committer.submit(append(b"x"), records)
    committer.close()
    assert store.batches == [2, 2, 1]


def test_who_waits_for_a_later_batch_finds_the_earlier_ones_on_disk(store: FakeStore) -> None:
    """Batches are committed in the order they came, though nobody waits for the first of them."""
    committer = committer_on(store, max_batch_records=1)
    first, second, last = [committer.submit(append(letter)) for letter in (b"a", b"b", b"c")]
    assert second.result() == b"ab"
    assert store.batches == [1, 1]
    assert (first.result(), last.result()) == (b"a", b"abc")
    committer.close()
    assert store.batches == [1, 1, 1]


def test_a_failing_operation_writes_nothing_and_disturbs_nobody(store: FakeStore) -> None:
    """Its own ticket gets the error; the rest of the batch is committed as if it had not been."""
    committer = committer_on(store)
    before = committer.submit(append(b"a"))
    failing = committer.submit(fail_after_writing)
    after = committer.submit(append(b"b"))
    committer.close()
    with pytest.raises(LookupError, match="refused"):
        failing.result()
    assert (before.result(), after.result()) == (b"a", b"ab")
    assert store.rows == {(Table.META, KEY): b"ab"}
    assert store.batches == [3]


@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), max_size=6), max_size=4))
def test_whatever_fails_only_what_succeeds_is_there(batches: list[list[bool]]) -> None:
    """Each operation that succeeds sees all before it that did, and none of those that failed."""
    store, expected = FakeStore(), b""
    committer = committer_on(store)
    for batch in batches:
        tickets = [committer.submit(append(b"x") if each else fail_after_writing) for each in batch]
        for ticket, succeeds in zip(tickets, batch, strict=True):
            if succeeds:
                expected += b"x"
                assert ticket.result() == expected
            else:
                with pytest.raises(LookupError):
                    ticket.result()
    committer.close()
    assert store.rows.get((Table.META, KEY), b"") == expected
    assert store.batches == [len(batch) for batch in batches if batch]


def test_a_failing_commit_is_told_to_all(store: FakeStore) -> None:
    """If the commit fails, no ticket of the batch claims success, and the next batch goes on."""
    committer = committer_on(store)
    tickets = [committer.submit(append(letter)) for letter in (b"a", b"b")]
    store.error = OSError("disk on fire")
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
    assert store.batches == [1, 100]
    with pytest.raises(CommitterClosedError):
        committer.submit(append(b"y"))
    committer.close()
    assert tickets[-1].result() == b"-" + 100 * b"x"


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
    waiting = [in_thread(ticket.result) for _ in range(8)]
    store.go_on.set()
    assert [each.result() for each in waiting] == [b"a"] * 8
    committer.close()
    assert store.batches == [1]


def test_callers_in_many_threads_are_all_answered_once(store: FakeStore) -> None:
    """However their waiting falls together, each operation is run into one commit, in one order."""
    committer = committer_on(store)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: committer.submit(append(b"x")).result(), range(2_000)))
    committer.close()
    assert sorted(map(len, found)) == list(range(1, 2_001))
    assert sum(store.batches) == 2_000
