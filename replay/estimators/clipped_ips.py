"""Inverse propensity scoring with weights cut off at a limit."""

from dataclasses import dataclass

import numpy as np

from replay.columns import WeightedReward
from replay.estimators.tuned import CLIPS, TunedEstimator
from replay.sample import Sample
from replay.statistics import Column
from replay.sums import Floats


@dataclass(frozen=True)
class ClippedReward(Column):
    """min(w, λ) r."""

    limit: float

    def of(self, sample: Sample) -> Floats:
        """Clipped weight times reward."""
        return np.minimum(sample.weight, self.limit) * sample.reward


class ClippedIps(TunedEstimator):
    """Clipped inverse propensity scoring (Ionides 2008, "Truncated Importance Sampling").

    Formula: V = (1/n) * sum of min(w_i, λ) * r_i, with w = p_target / p_log and λ chosen by SLOPE++
    from 2, 4, ..., 4096 and infinity.

    Assumes what `ips` assumes. Clipping takes the variance of heavy weights away and brings a bias
    towards zero reward, by what the target earns where weights exceed λ. SLOPE++ takes as low a
    limit as the log cannot tell from none. The interval does not hold the bias.
    """

    name = "clipped_ips"
    unlimited = WeightedReward()
    grid = CLIPS

    def score(self, limit: float) -> Column:
        """The score with a finite limit."""
        return ClippedReward(limit)
