"""Counts different subjects in bounded memory: all of a few, a sample of many."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from decisionlog import Decision
from replay.sums import Floats

KEPT = 16_384
"""More subjects are counted to within a hundredth, by those with the smallest keys."""
KEY_BYTES = 8
Keys = NDArray[np.uint64]


def keys_of(decisions: Sequence[Decision]) -> Keys:
    """A number for the subject of each decision: 64 bits of its pseudonym, a keyed hash."""
    joined = b"".join([decision.subject[:KEY_BYTES] for decision in decisions])
    return np.frombuffer(joined, dtype=">u8").astype(np.uint64)


class Subjects:
    """Different keys; of more than `KEPT` those below a limit, which is halved as need be.

    The same keys give the same sample in whatever order and parts they come (adaptive sampling:
    Flajolet 1990).
    """

    def __init__(self) -> None:
        self.halvings = 0
        self.kept: Keys = np.zeros(0, dtype=np.uint64)
        self._waiting: list[Keys] = []
        self._waiting_size = 0

    def add(self, keys: Keys) -> None:
        """Takes in keys; some may have come before."""
        # Sorting is put off until there is as much to sort as was sorted before.
        self._waiting.append(keys)
        self._waiting_size += keys.size
        if self._waiting_size > max(self.kept.size, 1024):
            self.settle()

    def merge(self, other: "Subjects") -> None:
        """Takes in another's keys."""
        other.settle()
        self.halvings = max(self.halvings, other.halvings)
        self.add(other.kept)
        self.settle()

    def settle(self) -> None:
        """Sorts what waits into what is kept."""
        keys = np.unique(np.concatenate([self.kept, *self._waiting]))
        self._waiting, self._waiting_size = [], 0
        self.kept = self._below_limit(keys)
        while self.kept.size > KEPT:
            self.halvings += 1
            self.kept = self._below_limit(self.kept)

    @property
    def count(self) -> float:
        """How many there are; exact up to `KEPT`."""
        self.settle()
        return float(self.kept.size) * 2.0**self.halvings

    def by_bucket(self, buckets: int) -> Floats:
        """How many there are of each remainder of their key, shape (buckets,)."""
        self.settle()
        places = (self.kept % np.uint64(buckets)).astype(np.int64)
        counts = np.bincount(places, minlength=buckets)
        return np.asarray(counts * 2.0**self.halvings, dtype=np.float64)

    def _below_limit(self, keys: Keys) -> Keys:
        if not self.halvings:
            return keys
        return keys[keys < np.uint64(1 << (64 - self.halvings))]
