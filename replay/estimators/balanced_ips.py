"""Weighting for logs of several policies, by their mixture: the balanced estimator."""

from dataclasses import dataclass

from replay.estimators.base import MeanEstimator
from replay.sample import Sample, importance_weight
from replay.statistics import Column
from replay.sums import Floats


@dataclass(frozen=True)
class MixtureWeight(Column):
    """p_target / p_mixture."""

    def of(self, sample: Sample) -> Floats:
        """The weights."""
        return importance_weight(sample.p_target, sample.require("p_mixture", BalancedIps.name))


@dataclass(frozen=True)
class MixtureReward(Column):
    """p_target / p_mixture times the reward."""

    def of(self, sample: Sample) -> Floats:
        """The weighted rewards."""
        return MixtureWeight().of(sample) * sample.reward


class BalancedIps(MeanEstimator):
    """Balanced inverse propensity scoring (Agarwal, Basu, Schnabel and Joachims 2017).

    "Effective Evaluation Using Logged Bandit Feedback from Multiple Loggers"; the balance heuristic
    of Veach and Guibas 1995. Formula: V = (1/n) * sum of p_target / p_mixture * r, with p_mixture
    the sum over loggers k of (n_k / n) * p_k, each logger's probability of the logged action in
    that context times its share of the rows.

    Assumes that every logger's probability is known for every row, whoever logged it, and that
    together they could take every action of the target. Unbiased; it varies no more than `ips`,
    since an action that one logger seldom takes weighs little if another often does.
    """

    name = "balanced_ips"
    needs = ("p_mixture",)
    method = "mean of rewards weighted by the mixture; Student's t, rows independent"
    weight = MixtureWeight()
    score = MixtureReward()
