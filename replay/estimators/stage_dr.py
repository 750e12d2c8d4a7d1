"""Doubly robust along a chain: every stage's choice is corrected by the model's values of it."""

from dataclasses import dataclass
from types import MappingProxyType

from replay.estimators.base import MeanEstimator
from replay.sample import STAGES, Sample
from replay.stages import STAGE_PROBABILITIES, STAGE_VALUES, cumulative_weights
from replay.statistics import Column
from replay.sums import Floats


@dataclass(frozen=True)
class StageWeight(Column):
    """Product of the weights of the stages up to one."""

    stage: int
    """Its place among `STAGES`."""

    def of(self, sample: Sample) -> Floats:
        """The weights."""
        return list(cumulative_weights(sample, StageDr.name))[self.stage]


@dataclass(frozen=True)
class StageDrScore(Column):
    """v1 + w1 (v2 - q1) + w1 w2 (v3 - q2) + w1 w2 w3 (r - q3)."""

    def of(self, sample: Sample) -> Floats:
        """The corrected values."""
        values = [sample.require(f"v_{stage}", StageDr.name) for stage in STAGES]
        score = values[0]
        weights = cumulative_weights(sample, StageDr.name)
        reached = [*values[1:], sample.reward]
        for stage, weight, after in zip(STAGES, weights, reached, strict=True):
            score = score + weight * (after - sample.require(f"q_{stage}", StageDr.name))
        return score


class StageDr(MeanEstimator):
    """Stage-wise doubly robust (Jiang and Li 2016, "Doubly Robust Off-policy Value Evaluation").

    Formula: V = (1/n) * sum of v1 + w1 * (v2 - q1) + w1 * w2 * (v3 - q2) + w1 * w2 * w3 * (r - q3).
    For stage s (offer, channel, send time): ws = p_target_s / p_log_s; qs is the reward model's
    value of the logged choice if the target goes on from there, and vs the mean of such values over
    the target's choices at s.

    Assumes that either the stages' probabilities or the models are right, and that no model was
    fitted on the interactions it scores. Models of all stages take 48 predictions where `dr` takes
    1,920 (20 offers, 4 channels, 24 send times), and each takes away the variance of its own stage.
    """

    name = "stage_dr"
    needs = (*STAGE_PROBABILITIES, *STAGE_VALUES)
    weights_on_the_way = MappingProxyType(
        {f"stage_dr.{stage}": StageWeight(place) for place, stage in enumerate(STAGES[:-1])}
    )
    method = "mean of values corrected by stages; Student's t, rows independent"
    score = StageDrScore()
