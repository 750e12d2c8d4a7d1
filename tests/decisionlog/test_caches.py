"""The cache gives what its function gives, and never holds more than it may."""

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisionlog.caches import SizedCache

ENTRY_MAX, TOTAL_MAX = 10, 25


class Doubling:
    """Doubles numbers and notes which it was asked for; a number is its own size."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.cache = SizedCache(
            self.double, lambda key, _: key, entry_max=ENTRY_MAX, total_max=TOTAL_MAX
        )

    def double(self, number: int) -> int:
        """Return twice the number."""
        self.asked.append(number)
        return 2 * number


class Model:
    """The keys that a cache should hold, least recently used first."""

    def __init__(self) -> None:
        self.keys: OrderedDict[int, None] = OrderedDict()

    def asks(self, key: int) -> bool:
        """Use a key; tell whether the function must be asked."""
        if key in self.keys:
            self.keys.move_to_end(key)
            return False
        if key <= ENTRY_MAX:
            self.keys[key] = None
        while sum(self.keys) > TOTAL_MAX:
            self.keys.popitem(last=False)
        return True


@given(st.lists(st.integers(1, ENTRY_MAX + 3), max_size=60))
def test_the_least_recently_used_go_and_the_total_stays_bounded(keys: list[int]) -> None:
    """Whatever is asked, results are right, and just what a plain model holds is remembered."""
    doubling, model = Doubling(), Model()
    expected = [key for key in keys if model.asks(key)]
    assert [doubling.cache(key) for key in keys] == [2 * key for key in keys]
    assert doubling.asked == expected
    assert doubling.cache.total == sum(model.keys) <= TOTAL_MAX


def test_a_failure_is_not_remembered() -> None:
    """What raises is tried again."""
    turns = iter([0, 1])
    cache: SizedCache[str, int] = SizedCache(
        lambda _: 1 // next(turns), lambda *_: 1, entry_max=1, total_max=1
    )
    with pytest.raises(ZeroDivisionError):
        cache("key")
    assert cache("key") == 1


def test_many_threads_keep_the_total_right() -> None:
    """After any interleaving the total is the size of what is held, and within its bound."""
    doubling = Doubling()
    keys = [1 + turn % ENTRY_MAX for turn in range(2_000)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(doubling.cache, keys)) == [2 * key for key in keys]
    assert doubling.cache.total == sum(doubling.cache._entries) <= TOTAL_MAX
