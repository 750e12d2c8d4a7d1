"""Doubly robust with weights shrunk smoothly: optimistic shrinkage."""

from dataclasses import dataclass

from replay.columns import DrScore, ModelValue, residual
from replay.estimators.tuned import SHRINKAGES, TunedEstimator
from replay.sample import Sample
from replay.statistics import Column
from replay.sums import Floats


@dataclass(frozen=True)
class ShrunkScore(Column):
    """v + λ w / (w^2 + λ) (r - q)."""

    limit: float

    def of(self, sample: Sample) -> Floats:
        """Modelled value plus the model's error by its shrunk weight."""
        weight = sample.weight
        shrunk = weight * (self.limit / (weight * weight + self.limit))
        return ModelValue().of(sample) + shrunk * residual(sample)


class DrOs(TunedEstimator):
    """Doubly robust with optimistic shrinkage (Su, Dimakopoulou, Krishnamurthy and Dudik 2020).

    Formula: V = (1/n) * sum of v_i + λ * w_i / (w_i^2 + λ) * (r_i - q_i), with w = p_target / p_log
    and λ chosen by SLOPE++ from 0 (which is `dm`), 1, 4, 16, ..., 4^12 and infinity (which is
    `dr`).

    Assumes what `dr` assumes for light weights; heavy ones (w^2 above λ) shrink towards zero, where
    it relies on the reward model. "Doubly Robust Off-Policy Evaluation with Shrinkage" derives it
    as the shrinkage that minimises a bound on the mean squared error for a good model. The interval
    does not hold the bias.
    """

    name = "dr_os"
    needs = ("q_logged", "v_target")
    unlimited = DrScore()
    grid = SHRINKAGES
    last = {0.0: ModelValue()}  # noqa: RUF012 - never changed

    def score(self, limit: float) -> Column:
        """The score with a finite limit."""
        return ShrunkScore(limit)
