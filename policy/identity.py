"""Keeps what was made of large values that come again as the very same objects."""

from collections.abc import Callable
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class IdentityCache(Generic[_Key, _Value]):
    """Remembers a function's results by the identity of its argument.

    To hash an eligible tree costs more than to score it; and trees that are equal are mostly one and
    the same object. What is kept holds on to its argument, so that no other gets its identity. The
    oldest go first.
    """

    def __init__(self, make: Callable[[_Key], _Value], maximum: int) -> None:
        """Keeps at most `maximum` results of `make`, which must be pure."""
        self._make = make
        self._maximum = maximum
        self._kept: dict[int, tuple[_Key, _Value]] = {}

    def __call__(self, key: _Key) -> _Value:
        """The result for an argument."""
        found = self._kept.get(id(key))
        if found is None:
            found = self._kept[id(key)] = (key, self._make(key))
            while len(self._kept) > self._maximum:
                # Another thread may have taken the same one.
                self._kept.pop(next(iter(self._kept)), None)
        return found[1]
