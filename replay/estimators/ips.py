"""Inverse propensity scoring: every reward counts by how much likelier the target makes it."""

from replay.columns import WeightedReward
from replay.estimators.base import MeanEstimator


class Ips(MeanEstimator):
    """Inverse propensity scoring (Horvitz and Thompson 1952; Strehl and others 2010).

    Formula: V = (1/n) * sum of w_i * r_i, with w = p_target / p_log.

    Assumes that the logged probabilities are the true ones and that the logging policy could take
    every action that the target policy takes. Then it is unbiased, whatever the rewards are; its
    variance grows with the weights, and adding a constant to all rewards changes more than that
    constant by chance. The interval is Student's t around the mean of w * r; heavy weights make
    it too narrow, which is what the diagnostics watch.
    """

    name = "ips"
    method = "mean of weighted rewards; Student's t on their sample variance, rows independent"
    score = WeightedReward()
