"""Keeps what was made of large values that come again as the very same objects."""

import threading
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

_Keys = ParamSpec("_Keys")
_Value = TypeVar("_Value")


class IdentityCache(Generic[_Keys, _Value]):
    """Remembers a function's results by the identity of its arguments.

    To hash an eligible tree costs more than to score it; and trees that are equal are mostly one
    and the same object. What is kept holds on to its arguments, so that no others get their
    identity. The oldest go first.
    """

    def __init__(
        self,
        make: Callable[_Keys, _Value],
        size_max: int,
        size: Callable[..., int] = lambda *_: 1,
    ) -> None:
        """Keeps results of `make`, which must be pure, as long as their sizes add up to no more.

        Args:
            make: what is remembered; it takes positional arguments only.
            size_max: what all results together may have; one that is larger alone is not kept.
            size: of a result, and of the arguments that are kept with it: it takes all of them. All
                count as 1 if it is not given.
        """
        self._make = make
        self._size = size
        self._size_max = size_max
        self._total = 0
        self._kept: dict[tuple[int, ...], tuple[tuple[object, ...], _Value, int]] = {}
        self._lock = threading.Lock()

    def __call__(self, *keys: _Keys.args, **none: _Keys.kwargs) -> _Value:
        """The result for some arguments."""
        found = self._kept.get(tuple(map(id, keys)))
        if found is not None:
            return found[1]
        value = self._make(*keys, **none)
        self._keep(keys, value, self._size(value, *keys, **none))
        return value

    def __len__(self) -> int:
        """How many results are kept."""
        return len(self._kept)

    def _keep(self, keys: tuple[object, ...], value: _Value, size: int) -> None:
        place = tuple(map(id, keys))
        with self._lock:
            if size <= self._size_max and place not in self._kept:
                self._make_room(self._size_max - size)
                self._kept[place] = (keys, value, size)
                self._total += size

    def _make_room(self, most: int) -> None:
        while self._total > most:
            self._total -= self._kept.pop(next(iter(self._kept)))[2]
