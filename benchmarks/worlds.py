"""Simulated logs whose truth is known: the shapes that intervals have trouble with."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replay.sample import Sample

_CONTEXTS, _ACTIONS = 4, 3
_NODES, _CHANCES = np.polynomial.hermite_e.hermegauss(60)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """A simulated log with the true values of its two policies."""

    sample: Sample
    target: float
    """What the target policy earns for a decision, over all the subjects there could be."""
    logging: float
    expected: Array
    """What the target was expected to earn at each row: by its context and its subject's liking."""


@dataclass(frozen=True)
class Shape:
    """How logs of a kind are made: logistic clicks in a few contexts, under two unlike policies."""

    n: int
    """Decisions."""
    base: float
    """Log odds of a click, about."""
    sharpness: float
    """How far the logging policy is from an even one; the target's is 1."""
    per_subject: float = 1.0
    """Mean number of decisions of a subject; above 1 they share a context and a liking."""
    liking: float = 0.0
    """Standard deviation of that liking, in log odds."""
    order_spread: float = 0.0
    """Standard deviation of the logarithm of what a click earns; 0 where each earns 1."""

    def draw(self, generator: np.random.Generator) -> World:
        """A log."""
        fixed = np.random.default_rng(7)
        odds = self.base + fixed.normal(size=(_CONTEXTS, _ACTIONS))
        logging, target = (_policy(fixed, scale) for scale in (self.sharpness, 1.0))
        error = fixed.normal(size=odds.shape) * 0.1
        subject = self._subjects(generator)
        context = generator.integers(_CONTEXTS, size=subject[-1] + 1)[subject]
        liking = self.liking * generator.normal(size=subject[-1] + 1)[subject]
        draws = generator.uniform(size=(self.n, 1))
        action = (draws > logging[context].cumsum(axis=1)[:, :-1]).sum(axis=1)
        click = generator.uniform(size=self.n) < _logistic(odds[context, action] + liking)
        worth = np.exp(self.order_spread * generator.normal(size=self.n))
        truth = self._values(odds)
        rates = _logistic(odds[context] + liking[:, np.newaxis])
        expected = (target[context] * rates).sum(axis=1) * math.exp(self.order_spread**2 / 2)
        model = np.clip(truth * (1 + error), 0, None)
        sample = Sample(
            click.astype(np.float64) * worth,
            logging[context, action],
            target[context, action],
            q_logged=model[context, action],
            v_target=(target * model).sum(axis=1)[context],
            subject=subject,
        )
        values = [float((policy * truth).sum(axis=1).mean()) for policy in (target, logging)]
        return World(sample, values[0], values[1], expected)

    def _subjects(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """Whose decision each is; some subjects have many, most have few."""
        if self.per_subject == 1:
            return np.arange(self.n)
        sizes = generator.geometric(1 / self.per_subject, size=self.n)
        return np.repeat(np.arange(self.n), sizes)[: self.n]

    def _values(self, odds: Array) -> Array:
        """Mean reward of each action in each context, over all likings."""
        rates = _logistic(odds[..., np.newaxis] + self.liking * _NODES)
        worth = math.exp(self.order_spread**2 / 2)
        return np.asarray(rates @ (_CHANCES / _CHANCES.sum()) * worth)


SHAPES: Mapping[str, Shape] = {
    "binary": Shape(n=400, base=0.0, sharpness=0.5),
    "rare": Shape(n=4_000, base=-5.0, sharpness=0.5),
    "heavy weights": Shape(n=3_000, base=-1.0, sharpness=2.2),
    "clustered": Shape(n=1_500, base=-1.0, sharpness=0.5, per_subject=8.0, liking=1.5),
    "small": Shape(n=60, base=0.0, sharpness=0.5),
    "orders": Shape(n=2_000, base=-3.0, sharpness=0.5, order_spread=0.8),
}
"""By name. Rare: some thirty clicks; heavy: weights up to sixty times the mean; clustered: some 190
subjects; small: some 36 effective rows; orders: clicks worth amounts of long-tailed size."""


def _policy(generator: np.random.Generator, scale: float) -> Array:
    """Probabilities of each action in each context."""
    weights = np.exp(scale * generator.normal(size=(_CONTEXTS, _ACTIONS)))
    shares: Array = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _logistic(odds: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-odds)))
