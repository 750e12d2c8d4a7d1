"""The chain: three stages drawn one after the other, scored by one regression of whole actions."""

from math import sqrt
from typing import NamedTuple

import numpy as np

from policy.crosses import DEFAULT, Crosses
from policy.exploration import Exploration
from policy.policies import Draws, FloatArray, Walk
from policy.scores import Scores
from policy.situation import Path, Situation
from policy.tables import Scorer
from policy.vw import Weights

REWARD_MAX = 1e9
"""Beyond it, nothing would be left of other rewards on the same scale."""


class Scale(NamedTuple):
    """The rewards that a chain has learned from, from the lowest to the highest."""

    low: float
    high: float
    """Above `low`."""
    dispersion: float = 1.0
    """Variance of the rewards, as a share of what it would be if each were the lowest or the
    highest one with the same mean; above 0, at most 1."""
    start: float = 0.0
    """Logit of their mean: what an action is held to be worth before anything is known of it."""

    def share(self, reward: float) -> float:
        """A reward as a number from 0 to 1; what lies outside counts as the nearest end."""
        return min(max((reward - self.low) / (self.high - self.low), 0.0), 1.0)

    def reward(self, shares: FloatArray) -> FloatArray:
        """Shares as rewards."""
        return np.asarray(self.low + shares * (self.high - self.low), dtype=np.float64)


class Chain:
    """Chooses offer, channel and send time by what a regression expects of each."""

    def __init__(  # noqa: PLR0913 - all that a manifest says of it
        self,
        version: str,
        weights: Weights,
        exploration: Exploration,
        scale: Scale,
        interactions: int,
        *,
        crosses: Crosses = DEFAULT,
    ) -> None:
        """Puts a chain together.

        Args:
            version: name under which decisions are logged.
            weights: of the regression.
            exploration: how scores become probabilities.
            scale: of the rewards that were learned.
            interactions: how many the regression has learned from.
            crosses: what the regression crosses.
        """
        self.version = version
        self.weights = weights
        self.exploration = exploration
        self.scale = scale
        self.interactions = interactions
        self.crosses = crosses
        rule = exploration.rule(interactions)
        self._scorer = Scorer(weights, crosses, rule, scale.start, sqrt(scale.dispersion))

    def walk_tree(self, situation: Situation, path: Path, draws: Draws) -> Walk:
        """See `Walker`."""
        return self._scorer.walk(situation, path, draws)

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        return self._scorer.pmf(situation, path)

    def values(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`; each action with the best that can follow it."""
        return self.scale.reward(self.scores(situation, path).shares)

    def scores(self, situation: Situation, path: Path) -> Scores:
        """Log odds of the eligible actions after `path`, and how well they are known."""
        return self._scorer.scores(situation, path)
