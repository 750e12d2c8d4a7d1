"""Marginalised weighting: by how often the target shows such features, not such an offer."""

from dataclasses import dataclass

from replay.estimators.base import MeanEstimator
from replay.sample import Sample, importance_weight
from replay.statistics import Column
from replay.sums import Floats


@dataclass(frozen=True)
class FeatureWeight(Column):
    """p_target_features / p_log_features."""

    def of(self, sample: Sample) -> Floats:
        """The weights."""
        target = sample.require("p_target_features", Mips.name)
        return importance_weight(target, sample.require("p_log_features", Mips.name))


@dataclass(frozen=True)
class FeatureReward(Column):
    """p_target_features / p_log_features times the reward."""

    def of(self, sample: Sample) -> Floats:
        """The weighted rewards."""
        return FeatureWeight().of(sample) * sample.reward


class Mips(MeanEstimator):
    """Marginalised inverse propensity scoring (Saito and Joachims 2022).

    "Off-Policy Evaluation for Large Action Spaces via Embeddings". Formula: V = (1/n) * sum of
    p_target(e_i) / p_log(e_i) * r_i, with e_i the features of the logged offer and p(e) the sum of
    the probabilities of all offers that have them.

    Assumes that an offer acts on the reward through its features alone, and that the logging policy
    could show every combination of features that the target shows: not every offer, which is what
    makes it fit for many offers and for new ones. Where offers of equal features differ, it is
    biased by their difference. It varies no more than `ips`.
    """

    name = "mips"
    needs = ("p_log_features", "p_target_features")
    method = "mean of rewards weighted by features; Student's t, rows independent"
    weight = FeatureWeight()
    score = FeatureReward()
