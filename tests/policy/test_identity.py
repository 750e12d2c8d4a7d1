"""What is remembered by identity: the very same results, never too many, never another's."""

import gc
import threading
import weakref
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from policy.identity import IdentityCache

SIZE_MAX = 10


class Key:
    """An argument like any other: equal to all of its kind, so that only identity counts."""

    def __init__(self, size: int = 1) -> None:
        self.size = size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key)

    def __hash__(self) -> int:
        raise AssertionError("nothing is hashed but identities")


class Result:
    """What is made of some arguments."""

    def __init__(self, *keys: Key) -> None:
        self.keys = tuple(map(id, keys))
        self.size = sum(key.size for key in keys)


def counted() -> tuple[Callable[[Key], Result], list[Key]]:
    """A function of one argument, and those that it was called with."""
    calls: list[Key] = []

    def make(key: Key) -> Result:
        calls.append(key)
        return Result(key)

    return make, calls


def test_the_same_object_is_answered_from_memory() -> None:
    """The second time the very same result comes back, and nothing is made."""
    make, calls = counted()
    cache = IdentityCache(make, SIZE_MAX)
    key = Key()
    assert cache(key) is cache(key)
    assert len(calls) == len(cache) == 1


def test_an_equal_object_is_another_one() -> None:
    """Equality counts for nothing: each object has a result of its own."""
    make, calls = counted()
    cache = IdentityCache(make, SIZE_MAX)
    first, second = Key(), Key()
    assert first == second
    assert cache(first) is not cache(second)
    assert len(calls) == 2


def test_all_arguments_count_and_so_does_their_order() -> None:
    """Two arguments have one result, swapped they have another."""
    cache = IdentityCache(Result, SIZE_MAX)
    left, right = Key(), Key()
    assert cache(left, right) is cache(left, right)
    assert cache(left, right).keys == (id(left), id(right))
    assert cache(right, left).keys == (id(right), id(left))
    assert cache(left).keys == (id(left),)
    assert len(cache) == 3


def test_arguments_live_as_long_as_their_result_is_kept() -> None:
    """No later object gets the identity of one that is remembered; then it may go."""
    cache = IdentityCache(Result, 1)
    key = Key()
    gone = weakref.ref(key)
    cache(key)
    del key
    gc.collect()
    assert gone() is not None
    cache(Key())
    gc.collect()
    assert gone() is None


def test_the_oldest_goes_first() -> None:
    """Where room is needed, what was made first is forgotten, whoever asked for it since."""
    make, calls = counted()
    cache = IdentityCache(make, 2)
    first, second, third = Key(), Key(), Key()
    for key in (first, second, first, third):
        cache(key)
    assert len(cache) == 2
    cache(second)
    cache(third)
    assert len(calls) == 3
    cache(first)
    assert calls[3:] == [first]
    assert len(calls) == 4


def test_what_is_too_large_alone_is_not_kept() -> None:
    """It is made every time, and pushes nothing else out."""
    cache = IdentityCache(Result, SIZE_MAX, lambda result, *_: result.size)
    small, large = Key(1), Key(SIZE_MAX + 1)
    kept = cache(small)
    assert cache(large) is not cache(large)
    assert cache(large).keys == (id(large),)
    assert cache(small) is kept
    assert len(cache) == 1


def test_arguments_count_as_well() -> None:
    """A size may be of the arguments that are held on to, not of the result alone."""
    cache = IdentityCache(Result, SIZE_MAX, lambda _, *keys: sum(key.size for key in keys))
    cache(Key(4), Key(5))
    cache(Key(1))
    assert len(cache) == 2
    cache(Key(1))
    assert len(cache) == 2


def test_an_error_is_not_remembered() -> None:
    """A function that fails once is asked again."""
    failures = [ValueError("once")]

    def make(key: Key) -> Result:
        if failures:
            raise failures.pop()
        return Result(key)

    cache, key = IdentityCache(make, SIZE_MAX), Key()
    with pytest.raises(ValueError, match="once"):
        cache(key)
    assert len(cache) == 0
    assert cache(key) is cache(key)
    assert not failures


@given(
    st.lists(st.integers(0, 7), max_size=60), st.lists(st.integers(1, 12), min_size=8, max_size=8)
)
def test_whatever_is_asked_the_answer_is_that_of_the_function(
    asked: list[int], sizes: list[int]
) -> None:
    """Each result belongs to its argument, and all that are kept fit."""
    cache = IdentityCache(Result, SIZE_MAX, lambda result, *_: result.size)
    keys = [Key(size) for size in sizes]
    for place in asked:
        assert cache(keys[place]).keys == (id(keys[place]),)
        kept = [result for _, result, _ in cache._kept.values()]
        assert sum(result.size for result in kept) == cache._total <= SIZE_MAX
        assert len(cache) == len(kept)


class Machine(RuleBasedStateMachine):
    """Random requests, sizes and new objects against an ordered dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[Key] = []
        self.calls = 0
        self.cache = IdentityCache(self.make, SIZE_MAX, lambda result, *_: result.size)
        self.model: dict[int, int] = {}

    def make(self, key: Key) -> Result:
        """Counts how often something is made."""
        self.calls += 1
        return Result(key)

    @rule(size=st.integers(0, SIZE_MAX + 2))
    def new(self, size: int) -> None:
        """Another object."""
        self.keys.append(Key(size))

    @rule(place=st.integers(0, 100))
    def ask(self, place: int) -> None:
        """A result is made if and only if the model does not hold it."""
        if not self.keys:
            return
        key = self.keys[place % len(self.keys)]
        before, held = self.calls, id(key) in self.model
        assert self.cache(key).keys == (id(key),)
        assert self.calls - before == (not held)
        if not held and key.size <= SIZE_MAX:
            while sum(self.model.values()) > SIZE_MAX - key.size:
                del self.model[next(iter(self.model))]
            self.model[id(key)] = key.size

    @invariant()
    def holds_the_same(self) -> None:
        """What is kept is what the model holds."""
        assert len(self.cache) == len(self.model)


TestMachine = Machine.TestCase


def test_threads_that_ask_at_once_get_their_own() -> None:
    """Eight threads over more objects than there is room for: right results, and no more kept."""
    cache = IdentityCache(Result, SIZE_MAX)
    keys = [Key() for _ in range(3 * SIZE_MAX)]
    wrong: list[object] = []

    def ask(start: int) -> None:
        try:
            for step in range(2_000):
                key = keys[(start + step * 7) % len(keys)]
                if cache(key).keys != (id(key),):
                    wrong.append(key)
        except Exception as error:  # noqa: BLE001 - reported below
            wrong.append(error)

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(cache) == cache._total == SIZE_MAX
