"""Counts and sums by weight, for what no moments say: exact for few weights, else fine bins.

Every distinct weight has a row of its own as long as there are at most `MOST_WEIGHTS`. Beyond that
the last bits of all weights are dropped, one after the other, until they fit: bins that nest, so
that the bins of all rows are the same in whatever order and chunks they came.
"""

from dataclasses import dataclass

import numpy as np

from policy.compiled import compiled
from replay.sample import Sample
from replay.statistics import Part
from replay.sums import Digits, Floats

MOST_WEIGHTS = 2**15
"""Most rows of a table. With as many bins over 40 doublings a weight is known to 1 part in 1,000,
and what follows from the bins' means to about its square."""

_SLOTS = 4 * MOST_WEIGHTS
"""Places for them; three of four stay free, so that each is found at once."""
_FREE = -1
"""No weight's key: keys are the bits of numbers that are not negative."""
_SCATTER = -7046029254386353131
"""The golden ratio in 64 bits, which scatters keys that differ in a few bits (Knuth, volume 3)."""


@dataclass(frozen=True, slots=True, eq=False)
class WeightRows:
    """A table's rows, by rising weight; each an array of shape (k,)."""

    count: Floats
    weight: Floats
    """Sum of the weights."""
    weighted_reward: Floats
    """Sum of weights times rewards."""


class WeightTable(Part):
    """Counts interactions and sums weights and weighted rewards, by weight.

    Sums are compensated: they carry 106 bits (Dekker 1971), so that no order changes 1e-12 of them.
    """

    def __init__(self) -> None:
        self.dropped_bits = 0
        self.used = 0
        self.keys, self.sums = _empty()

    def add(self, sample: Sample) -> None:
        """Take in a chunk of interactions."""
        rows = np.zeros((len(sample), 5))
        rows[:, 0], rows[:, 1], rows[:, 3] = 1.0, sample.weight, sample.weighted_reward
        # Adding zero turns a negative zero, whose bits would be a negative key, into zero.
        self._insert((sample.weight + 0.0).view(np.int64), rows)

    def merge(self, other: "WeightTable") -> None:
        """Take in what another one has seen."""
        if other.dropped_bits > self.dropped_bits:
            self._coarsen(other.dropped_bits)
        filled = other.keys != _FREE
        self._insert(other.keys[filled] << other.dropped_bits, other.sums[filled])

    def rows(self) -> WeightRows:
        """The table."""
        order = np.argsort(self.keys)[self.keys.size - self.used :]
        sums = self.sums[order]
        return WeightRows(sums[:, 0], sums[:, 1] + sums[:, 2], sums[:, 3] + sums[:, 4])

    def _insert(self, bits: Digits, rows: Floats) -> None:
        done = 0
        while True:
            taken, self.used = _insert_rows(
                bits[done:] >> self.dropped_bits, rows[done:], self.keys, self.sums, self.used
            )
            done += taken
            if done == len(rows):
                return
            self._coarsen(self.dropped_bits + 1)

    def _coarsen(self, dropped_bits: int) -> None:
        """Drops more bits of every weight."""
        filled = self.keys != _FREE
        keys, rows = self.keys[filled] >> (dropped_bits - self.dropped_bits), self.sums[filled]
        self.dropped_bits = dropped_bits
        self.keys, self.sums = _empty()
        _, self.used = _insert_rows(keys, rows, self.keys, self.sums, 0)


def _empty() -> tuple[Digits, Floats]:
    """Keys; for each its count, weights and their low part, weighted rewards and theirs."""
    return np.full(_SLOTS, _FREE, dtype=np.int64), np.zeros((_SLOTS, 5))


@compiled
def _insert_rows(
    keys: Digits, rows: Floats, table: Digits, sums: Floats, used: int
) -> tuple[int, int]:
    """Adds rows until a new key finds no room: how many were added, and how many keys there are."""
    for row in range(keys.size):
        slot = _slot(keys[row], table)
        if table[slot] == _FREE:
            if used == MOST_WEIGHTS:
                return row, used
            table[slot] = keys[row]
            used += 1
        sums[slot, 0] += rows[row, 0]
        for part in (1, 3):
            _add(sums[slot], part, rows[row, part], rows[row, part + 1])
    return keys.size, used


@compiled
def _slot(key: int, table: Digits) -> int:
    """Where a key is, or would be."""
    slot = ((key * _SCATTER) >> 32) & (_SLOTS - 1)
    while table[slot] not in (_FREE, key):
        slot = (slot + 1) & (_SLOTS - 1)
    return slot


@compiled
def _add(sums: Floats, place: int, high: float, low: float) -> None:
    """Adds a number of two parts to one at a place and the next; the sum's error goes along."""
    before = sums[place]
    total = before + high
    back = total - before
    error = (before - (total - back)) + (high - back)
    sums[place] = total
    sums[place + 1] += error + low
