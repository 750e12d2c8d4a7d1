"""What a log's rewards and examples are like: it has to be known before learning begins."""

import math
from dataclasses import dataclass

from policy.chain import Scale

DISPERSION_MIN = 0.01
"""Rewards that all lie close together but for a few are taken for no closer than this."""


@dataclass(slots=True)
class Extent:
    """A running summary of interactions, one after the other."""

    count: int = 0
    low: float = math.inf
    high: float = -math.inf
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squared differences from the mean."""
    weights: int = 0
    """Of all examples together."""

    def add(self, reward: float, weights: int) -> None:
        """Takes in an interaction (Welford 1962).

        Args:
            reward: finite.
            weights: how many its example has, as `policy.learning.terms_of` counts them.
        """
        self.count += 1
        self.low, self.high = min(self.low, reward), max(self.high, reward)
        step = reward - self.mean
        self.mean += step / self.count
        self.squares += step * (reward - self.mean)
        self.weights += weights

    @property
    def scale(self) -> Scale:
        """Of the rewards so far; there must be one at least."""
        if self.high <= self.low:
            # All are equal: any unit will do, but there is no sign of anything better.
            return Scale(self.low, self.low + 1.0, start=self._logit(0.0))
        share = (self.mean - self.low) / (self.high - self.low)
        extreme = (self.mean - self.low) * (self.high - self.mean)
        # Tiny rewards may leave nothing of their product.
        dispersion = self.squares / self.count / extreme if extreme > 0.0 else 1.0
        return Scale(
            self.low, self.high, min(max(dispersion, DISPERSION_MIN), 1.0), self._logit(share)
        )

    def _logit(self, share: float) -> float:
        """Log odds of a mean share, as if one reward more had been half of the highest."""
        smooth = (share * self.count + 0.5) / (self.count + 1.0)
        return math.log(smooth / (1.0 - smooth))

    @property
    def terms(self) -> float:
        """Weights of an example, on average; there must be one at least."""
        return self.weights / self.count
