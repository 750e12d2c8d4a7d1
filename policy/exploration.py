"""Exploration: pure functions from scores to a pmf, the same in serving and evaluation."""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from policy.compiled import compiled
from policy.errors import DivergedModelError
from policy.matching import best_probabilities
from policy.scores import Scores

FloatArray = NDArray[np.float64]
Name = Literal["matching", "squarecb", "epsilon", "softmax", "greedy"]
# Spread over 10,000 actions it is still far above 2**-53, the resolution of a draw.
FLOOR_MIN = 1e-6
ERROR_SCALE_MIN = 1e-3  # errors that get lost beside their logits leave nothing to integrate
GAMMA_SCALE_MAX = 1e12  # greedy for all values that differ; γ itself never becomes infinite


class Exploration(BaseModel):
    """How values become probabilities."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: Name = "matching"
    floor: float = Field(default=0.01, ge=FLOOR_MIN, le=1.0)
    """Share of each stage that is spread evenly, so that every eligible action keeps support."""
    error_scale: float = Field(default=0.3, ge=ERROR_SCALE_MIN, le=100.0)
    """matching: standard errors are multiplied by it; the smaller, the greedier."""
    gamma_scale: float = Field(default=20.0, gt=0.0, le=GAMMA_SCALE_MAX)
    """squarecb: γ after one interaction."""
    gamma_exponent: float = Field(default=0.5, ge=0.0, le=1.0)
    """squarecb: γ grows with this power of the interactions that the model has seen."""
    epsilon: float = Field(default=0.1, ge=0.0, le=1.0)
    """epsilon: share that is spread evenly."""
    temperature: float = Field(default=0.1, gt=0.0)
    """softmax: this share of the reward's scale makes an action e times as likely."""

    def pmf(self, scores: Scores, interactions: int) -> FloatArray:
        """Probability of each action.

        Args:
            scores: of each action; finite.
            interactions: how many the model has learned from.

        Returns:
            Shape (actions,); sums to 1 within 1e-9; each at least floor / actions up to rounding.
            Equal values are equally likely: the catalog's order favours nobody.

        Raises:
            DivergedModelError: if a value is not finite.
        """
        if not (all_finite(scores.logits) and all_finite(scores.errors)):
            raise DivergedModelError
        return with_floor(_KINDS[self.name](self, scores, interactions), self.floor)


@compiled
def all_finite(numbers: FloatArray) -> bool:
    """Whether none is infinite or NaN."""
    return bool(np.isfinite(numbers).all())


@compiled
def with_floor(pmf: FloatArray, floor: float) -> FloatArray:
    """Spreads a share of a pmf evenly, and makes it sum to 1 again where rounding has left it."""
    mixed = (1.0 - floor) * pmf + floor / len(pmf)
    mixed /= mixed.sum()
    return mixed


def _matching(settings: Exploration, scores: Scores, _interactions: int) -> FloatArray:
    return best_probabilities(scores.logits, settings.error_scale * scores.errors)


def _squarecb(settings: Exploration, scores: Scores, interactions: int) -> FloatArray:
    """Inverse-gap weighting (Abe and Long 1999; Foster and Rakhlin 2020, SquareCB)."""
    gamma = settings.gamma_scale * max(interactions, 1) ** settings.gamma_exponent
    gaps = scores.shares.max() - scores.shares
    best = gaps == 0.0
    pmf: FloatArray = 1.0 / (len(gaps) + gamma * gaps)
    pmf[best] = 0.0
    pmf[best] = (1.0 - pmf.sum()) / best.sum()
    return pmf


def _epsilon(settings: Exploration, scores: Scores, interactions: int) -> FloatArray:
    greedy = _greedy(settings, scores, interactions)
    return (1.0 - settings.epsilon) * greedy + settings.epsilon / len(greedy)


def _softmax(settings: Exploration, scores: Scores, _interactions: int) -> FloatArray:
    # Not numpy's exp: its last bits depend on the processor, and pmfs must not.
    with np.errstate(over="ignore"):  # a gap of -inf has no weight, as is right
        gaps = (scores.shares - scores.shares.max()) / settings.temperature
    weights = np.asarray([math.exp(gap) for gap in gaps.tolist()])
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _greedy(_settings: Exploration, scores: Scores, _interactions: int) -> FloatArray:
    """All mass on the best; ties share it."""
    best = scores.logits == scores.logits.max()
    return np.asarray(best / best.sum(), dtype=np.float64)


_KINDS: dict[Name, Callable[[Exploration, Scores, int], FloatArray]] = {
    "matching": _matching,
    "squarecb": _squarecb,
    "epsilon": _epsilon,
    "softmax": _softmax,
    "greedy": _greedy,
}
