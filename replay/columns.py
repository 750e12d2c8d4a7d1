"""The columns that several estimators share."""

from dataclasses import dataclass

from replay.sample import Sample
from replay.statistics import Column
from replay.sums import Floats


@dataclass(frozen=True)
class Weight(Column):
    """Importance weight w = p_target / p_log."""

    def of(self, sample: Sample) -> Floats:
        """The weights."""
        return sample.weight


WEIGHT = Weight()
"""What nearly every estimator weighs rows by."""


@dataclass(frozen=True)
class Reward(Column):
    """What the interaction earned, r."""

    def of(self, sample: Sample) -> Floats:
        """The rewards."""
        return sample.reward


@dataclass(frozen=True)
class WeightedReward(Column):
    """w r."""

    def of(self, sample: Sample) -> Floats:
        """Weight times reward."""
        return sample.weighted_reward


@dataclass(frozen=True)
class ModelValue(Column):
    """v: the reward model's mean value under the target policy."""

    def of(self, sample: Sample) -> Floats:
        """The model's values."""
        return sample.require("v_target", "the direct method")


@dataclass(frozen=True)
class Correction(Column):
    """w (r - q): the weighted error of the reward model at the logged action."""

    def of(self, sample: Sample) -> Floats:
        """The weighted errors."""
        return sample.weight * residual(sample)


@dataclass(frozen=True)
class DrScore(Column):
    """v + w (r - q)."""

    def of(self, sample: Sample) -> Floats:
        """Modelled value plus the weighted error of the model."""
        return ModelValue().of(sample) + Correction().of(sample)


def residual(sample: Sample) -> Floats:
    """The reward model's error at the logged action, r - q, shape (n,)."""
    return sample.reward - sample.require("q_logged", "a doubly robust estimate")
