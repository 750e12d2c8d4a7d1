"""Streams are taken in groups, in order, and leave no thread behind."""

import threading
import time
from collections.abc import Callable, Iterator
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.streams import groups

WAIT_SECONDS = 60  # far beyond what anything here takes: only a hang gets there


def readers() -> list[threading.Thread]:
    """The threads that read streams."""
    return [thread for thread in threading.enumerate() if thread.name == "stream"]


def wait_until(what: str, holds: Callable[[], bool]) -> None:
    """Returns when something holds; fails if it never does."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.005)


@settings(deadline=None)
@given(entries=st.lists(st.integers(), max_size=50), size_max=st.integers(1, 7))
def test_groups_are_the_stream(entries: list[int], size_max: int) -> None:
    """Joined they are the stream in its order; none is empty or too large."""
    found = list(groups(iter(entries), size_max))
    assert [entry for group in found for entry in group] == entries
    assert all(1 <= len(group) <= size_max for group in found)


def test_a_group_waits_for_nobody() -> None:
    """One entry is a group at once, though the stream goes on later."""
    more = Event()

    def stream() -> Iterator[int]:
        yield 1
        assert more.wait(WAIT_SECONDS)
        yield 2

    found = groups(stream(), 10)
    assert next(found) == [1]
    more.set()
    assert list(found) == [[2]]


def test_what_came_while_a_group_was_handled_is_the_next() -> None:
    """Under load groups grow."""
    handled, waiting = Event(), Event()

    def stream() -> Iterator[int]:
        yield 0
        assert handled.wait(WAIT_SECONDS)
        yield from range(1, 6)
        waiting.set()

    found = groups(stream(), 10)
    assert next(found) == [0]
    handled.set()
    assert waiting.wait(WAIT_SECONDS)
    assert [entry for group in found for entry in group] == [1, 2, 3, 4, 5]


def test_an_error_comes_after_what_came_before() -> None:
    """What a broken stream gave is handled, then its own error is raised."""
    error = ConnectionError("the caller hung up")

    def stream() -> Iterator[int]:
        yield 1
        raise error

    found = groups(stream(), 10)
    assert next(found) == [1]
    with pytest.raises(ConnectionError) as caught:
        next(found)
    assert caught.value is error


def test_a_stream_that_nobody_takes_any_more_is_left() -> None:
    """When the groups are dropped, the reader ends, though the stream would go on for ever."""
    taken = 0

    def stream() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    before = len(readers())
    found = groups(stream(), 10)
    next(found)
    wait_until("a full queue", lambda: taken > 10)
    found.close()  # type: ignore[attr-defined]
    wait_until("the reader's end", lambda: len(readers()) == before)
