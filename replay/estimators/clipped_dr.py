"""Doubly robust with weights cut off at a limit."""

from dataclasses import dataclass

import numpy as np

from replay.columns import DrScore, ModelValue, residual
from replay.estimators.tuned import CLIPS, TunedEstimator
from replay.sample import Sample
from replay.statistics import Column
from replay.sums import Floats


@dataclass(frozen=True)
class ClippedDrScore(Column):
    """v + min(w, λ) (r - q)."""

    limit: float

    def of(self, sample: Sample) -> Floats:
        """Modelled value plus the model's error by its clipped weight."""
        return ModelValue().of(sample) + np.minimum(sample.weight, self.limit) * residual(sample)


class ClippedDr(TunedEstimator):
    """Doubly robust with clipped weights (Su, Dimakopoulou, Krishnamurthy and Dudik 2020).

    Formula: V = (1/n) * sum of v_i + min(w_i, λ) * (r_i - q_i), with w = p_target / p_log and λ
    chosen by SLOPE++ from 0 (which is `dm`), 2, 4, ..., 4096 and infinity (which is `dr`).

    Assumes what `dr` assumes, but for weights above λ, where it relies on the reward model: the
    bias is what the model misses there. It is the pessimistic shrinkage of the paper, which bounds
    the mean squared error for the worst model. The interval does not hold the bias.
    """

    name = "clipped_dr"
    needs = ("q_logged", "v_target")
    unlimited = DrScore()
    grid = CLIPS
    last = {0.0: ModelValue()}  # noqa: RUF012 - never changed

    def score(self, limit: float) -> Column:
        """The score with a finite limit."""
        return ClippedDrScore(limit)
