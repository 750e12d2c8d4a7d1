"""Inverse propensity scoring of a chain: one weight a stage, multiplied."""

from dataclasses import dataclass

from replay.estimators.base import MeanEstimator
from replay.sample import Sample
from replay.stages import STAGE_PROBABILITIES, cumulative_weights
from replay.statistics import Column
from replay.sums import Floats


@dataclass(frozen=True)
class StageReward(Column):
    """Product of the stages' weights, times the reward."""

    def of(self, sample: Sample) -> Floats:
        """The weighted rewards."""
        *_, whole = cumulative_weights(sample, StageIps.name)
        return whole * sample.reward


class StageIps(MeanEstimator):
    """Stage-wise inverse propensity scoring (Precup, Sutton and Singh 2000, for one final reward).

    Formula: V = (1/n) * sum of w1_i * w2_i * w3_i * r_i, with ws = p_target_s / p_log_s of the
    logged offer, of its channel, and of their send time, each given the stages before.

    Assumes what `ips` assumes, of every stage. With exact probabilities it is `ips`; it exists for
    logs that hold the stages' probabilities, and as `stage_dr` without a model.
    """

    name = "stage_ips"
    needs = STAGE_PROBABILITIES
    method = "mean of rewards weighted by stages; Student's t, rows independent"
    score = StageReward()
