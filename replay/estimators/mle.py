"""Empirical likelihood: the likeliest distribution of the rows under which weights have mean 1."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from scipy.optimize import brentq

from replay.columns import Reward, Weight, WeightedReward
from replay.estimators.base import AdaptiveEstimator, ColumnEstimator
from replay.estimators.linear import Linear
from replay.statistics import Statistics
from replay.weight_table import WeightRows, WeightTable


class Mle(AdaptiveEstimator):
    """Empirical-likelihood estimator (Karampatziakis, Langford and Mineiro 2020; Owen 2001).

    "Empirical Likelihood for Contextual Bandits". Formula: V = sum of q_i * w_i * r_i + m * mean(r)
    with q_i = 1 / (n + b * (w_i - 1)), b in [0, n) the root of sum of (w_i - 1) * q_i = 0 (0 if the
    mean weight is at most 1, since a heavy row may be missing), and m = 1 - sum of q_i * w_i what
    is missing, which earns the log's mean.

    Assumes what `ips` assumes. It stays within the rewards' range, and for large n varies as little
    as `ips` with the weight as its best control variate. It rests on a table by weight
    (`WeightTable`) instead of moments, exact for up to 2^15 distinct weights and to about 1e-6
    beyond.

    The interval is that of its first-order form, mean(w r) - c * (mean(w) - 1), where c is the
    regression of w r on w or, where weight is missing, mean(r): the wider of the two.
    """

    name = "mle"
    method = "empirical likelihood, interval of its first-order form; Student's t, rows independent"
    columns = (WeightedReward(), Weight(), Reward())
    parts = (WeightTable,)

    def settled(self, statistics: Statistics) -> ColumnEstimator:
        """Its first-order form around its value: what moves with the rows' means."""
        if not statistics.total(Weight()):
            raise ZeroDivisionError
        weighted, weight, reward = statistics.means(self.columns)
        value = Fraction(_likeliest(statistics.part(WeightTable).rows(), float(reward)))
        factor = _factor(statistics, reward) if statistics.n > 1 else reward
        terms = {WeightedReward(): Fraction(1), Weight(): -factor}
        return Linear((self.name, self.method), terms, value - weighted + factor * weight, {})


def _factor(statistics: Statistics, mean_reward: Fraction) -> Fraction:
    """The c of whichever first-order form varies more."""
    spread = statistics.covariance(Weight(), Weight())
    joint = statistics.covariance(WeightedReward(), Weight())
    factors = [joint / spread if spread else Fraction(0), mean_reward]
    columns = (WeightedReward(), Weight())
    return max(factors, key=lambda one: statistics.variance(columns, (Fraction(1), -one)))


def _likeliest(rows: WeightRows, mean_reward: float) -> float:
    """The value under the likeliest distribution of the rows."""
    n = float(rows.count.sum())
    excess = rows.weight / rows.count - 1

    def imbalance(dual: float) -> float:
        return float(np.sum(rows.count * excess / (excess * dual + n)))

    # Beyond this the lightest row would have a probability above 1.
    lightest = float(excess.min())
    most = min(n, (n - 1) / -lightest) if lightest < 0 else n
    dual = _root(imbalance, most) if imbalance(0.0) > 0 else 0.0
    share = 1 / (excess * dual + n)
    missing = max(0.0, 1.0 - float(np.sum(rows.weight * share)))
    return float(np.sum(rows.weighted_reward * share)) + missing * mean_reward


def _root(falling: Callable[[float], float], most: float) -> float:
    """Where a falling function that begins above 0 meets it, or the end."""
    if falling(most) >= 0:
        return most
    return float(brentq(falling, 0.0, most, xtol=1e-300, rtol=8.9e-16))
