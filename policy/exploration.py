"""Exploration: pure functions from scores to a pmf, the same in serving and evaluation."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from policy.errors import DivergedModelError
from policy.exploration_kinds import (
    EPSILON,
    GREEDY,
    MATCHING,
    SOFTMAX,
    SQUARECB,
    Rule,
    all_finite,
    explored,
)
from policy.scores import FloatArray, Scores

Name = Literal["matching", "squarecb", "epsilon", "softmax", "greedy"]
# Spread over 10,000 actions it is still far above 2**-53, the resolution of a draw.
FLOOR_MIN = 1e-6
ERROR_SCALE_MIN = 1e-3  # errors that get lost beside their logits leave nothing to integrate
GAMMA_SCALE_MAX = 1e12  # greedy for all values that differ; γ itself never becomes infinite


class Exploration(BaseModel):
    """How values become probabilities."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: Name = "matching"
    floor: float = Field(default=0.005, ge=FLOOR_MIN, le=1.0)
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
        return explored(self.rule(interactions), scores.logits, scores.errors)

    def rule(self, interactions: int) -> Rule:
        """The same for compiled code, of a model that has learned from so many interactions."""
        return Rule(
            _KINDS[self.name],
            self.floor,
            self.error_scale,
            self.gamma_scale * max(interactions, 1) ** self.gamma_exponent,
            self.epsilon,
            self.temperature,
        )


_KINDS: dict[Name, int] = {
    "matching": MATCHING,
    "squarecb": SQUARECB,
    "epsilon": EPSILON,
    "softmax": SOFTMAX,
    "greedy": GREEDY,
}
