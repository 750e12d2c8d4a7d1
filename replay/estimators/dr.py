"""Doubly robust: the direct method, corrected by the weighted errors of its model."""

from replay.columns import DrScore
from replay.estimators.base import MeanEstimator


class Dr(MeanEstimator):
    """Doubly robust estimator (Dudik, Langford and Li 2011).

    Formula: V = (1/n) * sum of v_i + w_i * (r_i - q_i), with q the reward model's value of the
    logged action, v its mean over the target policy's actions, and w = p_target / p_log.

    Assumes that either the logged probabilities or the reward model is right, and that the model
    was not fitted on the interactions it scores. With exact probabilities it is unbiased whatever
    the model; a good model takes most of the variance of `ips` away.
    """

    name = "dr"
    needs = ("q_logged", "v_target")
    method = "mean of corrected values; Student's t on their sample variance, rows independent"
    score = DrScore()
