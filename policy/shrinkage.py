"""How far each block of a regression's weights is to be believed: as far as it foresaw rewards.

Most crosses of a context feature with a stage are noise: a habit may tell the channel and nothing
of the offer. All of them learn from every example, and each adds its noise to every value. So each
block, which is a cross of one context feature, or a side alone, has a factor: with it the blocks'
sums, as they were before each example was learned, would have foreseen the rewards best (stacking;
Wolpert 1992, Breiman 1996). At each doubling of what was learned the factors take a Newton step of
a ridge regression towards 1. They only ever take away.
"""

import numpy as np

from policy.blocks import IntArray
from policy.foresight import BLOCKS, SHARED, Evidence, Memory, Terms, foresee
from policy.vw import SIZE, Weights

FIRST_LOOK = 256
"""Interactions before blocks are looked at; then again each time their number has doubled."""
RIDGE = 3.0
"""Evidence, in units of a sum's squared logits, by which a factor of 1 is believed beforehand."""
FACTOR_MIN = 0.1
"""A block that seems to be noise may yet turn out to tell something."""


class Shrinkage:
    """Learns beside a regression which of its blocks foresee anything."""

    def __init__(self, rate: float) -> None:
        """Begins with all blocks believed.

        Args:
            rate: of the regression.
        """
        self._rate = rate
        self._memory: Memory = np.zeros((SIZE, 3), dtype=np.float32)
        self._blocks = np.zeros(SIZE, dtype=np.int16)  # small: it competes for the cache
        self._factors = np.ones(BLOCKS)
        self._evidence: Evidence = np.zeros((1 + BLOCKS, BLOCKS))
        self._seen, self._next = 0, FIRST_LOOK

    def learn(self, terms: Terms, share: float, weight: float, start: float) -> bool:
        """Foresees an example, then learns it as the regression does.

        Args:
            terms: the example's.
            share: of the reward, from 0 to 1.
            weight: so many examples does it count for.
            start: logit that the regression's own is added to.

        Returns:
            Whether factors have changed.
        """
        self._blocks[terms.places] = terms.blocks
        target = np.array([share, weight, start, self._rate])
        foresee(self._memory, terms, target, self._factors, self._evidence)
        self._seen += 1
        if self._seen < self._next:
            return False
        self._next *= 2
        self._look()
        return True

    def shrunk(self, weights: Weights, places: IntArray) -> Weights:
        """Weights at some places, as far as they are believed, and evidence to match.

        A weight that counts for a share of itself has a standard error of that share.
        """
        factors = self._factors[self._blocks[places]]
        return np.asarray(weights * np.stack([factors, factors**-2]), dtype=np.float32)

    def _look(self) -> None:
        gradient, upper = self._evidence[0], self._evidence[1:]
        curvature = upper + np.triu(upper, 1).T
        seen = np.flatnonzero(curvature.diagonal())
        seen = seen[seen != SHARED]
        pull = RIDGE * (1.0 - self._factors[seen]) + gradient[seen]
        bend = curvature[np.ix_(seen, seen)] + RIDGE * np.eye(len(seen))
        steps = np.linalg.solve(bend, pull)
        self._factors[seen] = np.clip(self._factors[seen] + steps, FACTOR_MIN, 1.0)
        self._evidence[:] = 0.0
