"""A cache that is bounded by the size of what it holds, not by the count."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class SizedCache(Generic[_Key, _Value]):
    """Remembers the results of a function; what was used least recently goes first.

    It may be called from any thread; two that ask for the same new key both compute it.
    """

    def __init__(
        self,
        compute: Callable[[_Key], _Value],
        size_of: Callable[[_Key, _Value], int],
        *,
        entry_max: int,
        total_max: int,
    ) -> None:
        """Begin empty.

        Args:
            compute: Pure; what it raises is not remembered.
            size_of: Size of an entry, at least 1, in any unit.
            entry_max: Larger entries are computed anew each time; at most `total_max`.
            total_max: The most that all entries together may have.
        """
        self._compute = compute
        self._size_of = size_of
        self._entry_max = entry_max
        self._total_max = total_max
        self._entries: OrderedDict[_Key, tuple[_Value, int]] = OrderedDict()
        self._total = 0
        self._lock = Lock()

    @property
    def total(self) -> int:
        """Size of all entries together."""
        return self._total

    def __call__(self, key: _Key) -> _Value:
        """Return the function's result, remembered or new."""
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
                return found[0]
        value = self._compute(key)
        self._remember(key, value)
        return value

    def _remember(self, key: _Key, value: _Value) -> None:
        size = self._size_of(key, value)
        if size > self._entry_max:
            return
        with self._lock:
            if key not in self._entries:
                self._entries[key] = value, size
                self._total += size
            while self._total > self._total_max:
                self._total -= self._entries.popitem(last=False)[1][1]
