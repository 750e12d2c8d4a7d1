"""The distribution of importance weights over bins that double, counted as the rows pass."""

from dataclasses import dataclass

import numpy as np

from replay.sample import Sample

LOWEST_EXPONENT = -10
"""The first bin ends at 2**-10 and holds every smaller weight above zero."""
HIGHEST_EXPONENT = 20
"""The last bin starts at 2**20 and holds every larger weight."""

EDGES = tuple(2.0**power for power in range(LOWEST_EXPONENT - 1, HIGHEST_EXPONENT + 2))


@dataclass(frozen=True, slots=True)
class Bins:
    """Counts of weights between edges."""

    edges: tuple[float, ...]
    """k + 1 edges, rising, above zero."""
    counts: tuple[int, ...]
    """k counts: of weights at or above an edge and below the next."""
    zeros: int = 0
    """Weights of exactly zero, which no logarithmic bin can hold."""

    def trimmed(self) -> "Bins":
        """Without the empty bins at both ends; as it is if all are empty."""
        filled = [index for index, count in enumerate(self.counts) if count]
        if not filled:
            return self
        first, last = filled[0], filled[-1]
        return Bins(self.edges[first : last + 2], self.counts[first : last + 1], self.zeros)


class WeightHistogram:
    """Counts weights by powers of two; chunks and processes merge by addition."""

    def __init__(self) -> None:
        self.counts = np.zeros(len(EDGES) - 1, dtype=np.int64)
        self.zeros = 0

    def add(self, sample: Sample) -> None:
        """Take in a chunk of interactions."""
        weights = sample.weight[sample.weight > 0]
        # frexp gives m * 2**e with m from 1/2: the bin of 2**k begins at e = k + 1.
        powers = np.clip(np.frexp(weights)[1] - 1, LOWEST_EXPONENT - 1, HIGHEST_EXPONENT)
        self.counts += np.bincount(powers - (LOWEST_EXPONENT - 1), minlength=self.counts.size)
        self.zeros += len(sample) - int(weights.size)

    def merge(self, other: "WeightHistogram") -> None:
        """Take in what another one has counted."""
        self.counts += other.counts
        self.zeros += other.zeros

    def result(self) -> Bins:
        """The counts so far."""
        return Bins(EDGES, tuple(int(count) for count in self.counts), self.zeros)
