"""Doubly robust where weights are light, the reward model alone where they are heavy."""

from dataclasses import dataclass

import numpy as np

from replay.columns import DrScore, ModelValue, residual
from replay.estimators.tuned import CLIPS, TunedEstimator
from replay.sample import Sample
from replay.statistics import Column
from replay.sums import Floats


@dataclass(frozen=True)
class SwitchScore(Column):
    """v + w 1[w <= λ] (r - q)."""

    limit: float

    def of(self, sample: Sample) -> Floats:
        """Modelled value plus the model's weighted error where the weight is within the limit."""
        light = np.where(sample.weight <= self.limit, sample.weight, 0.0)
        return ModelValue().of(sample) + light * residual(sample)


class SwitchDr(TunedEstimator):
    """SWITCH-DR (Wang, Agarwal and Dudik 2017, "Optimal and Adaptive Off-policy Evaluation").

    Formula: V = (1/n) * sum of v_i + w_i * 1[w_i <= λ] * (r_i - q_i), with w = p_target / p_log and
    λ chosen by SLOPE++ from 0 (which is `dm`), 2, 4, ..., 4096 and infinity (which is `dr`). The
    paper chooses λ by a bound on the bias; SLOPE++ needs no bound.

    Assumes what `dr` assumes where weights are at most λ, and that the reward model is right
    elsewhere. The interval does not hold what the model misses there.
    """

    name = "switch_dr"
    needs = ("q_logged", "v_target")
    unlimited = DrScore()
    grid = CLIPS
    last = {0.0: ModelValue()}  # noqa: RUF012 - never changed

    def score(self, limit: float) -> Column:
        """The score with a finite limit."""
        return SwitchScore(limit)
