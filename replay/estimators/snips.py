"""Self-normalised inverse propensity scoring: the weighted mean of the rewards."""

from collections.abc import Sequence
from fractions import Fraction

from replay.columns import Weight, WeightedReward
from replay.estimators.base import ColumnEstimator


class Snips(ColumnEstimator):
    """Self-normalised inverse propensity scoring (Swaminathan and Joachims 2015; Hajek 1971).

    Formula: V = (sum of w_i * r_i) / (sum of w_i), with w = p_target / p_log.

    Assumes what `ips` assumes. Its bias is of order 1/n and its variance is mostly far smaller; it
    stays within the range of the rewards, and adding a constant to all rewards adds that constant.

    The interval is the delta method's for a ratio of two means that vary together:
    Var V = sum of (w_i * (r_i - V))^2 / (n * (n - 1) * mean(w)^2), Student's t. The normaliser is
    an estimate like the numerator: holding it fixed gives a wrong width.
    """

    name = "snips"
    method = "ratio of means; delta method with Student's t, rows independent"
    columns = (WeightedReward(), Weight())

    def value(self, means: Sequence[Fraction]) -> Fraction:
        """Ratio of the means."""
        weighted_reward, weight = means
        return weighted_reward / weight

    def gradient(self, means: Sequence[Fraction]) -> tuple[Fraction, ...]:
        """Derivative of a ratio."""
        _, weight = means
        return (1 / weight, -self.value(means) / weight)
