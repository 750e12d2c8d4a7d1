"""Self-normalised inverse propensity scoring: the weighted mean of the rewards."""

from replay.estimate import Estimate, delta_estimate
from replay.estimators.base import Estimator, ratio_gradient, ratio_of_means
from replay.sample import Sample
from replay.sums import Floats


class Snips(Estimator):
    """Self-normalised inverse propensity scoring (Swaminathan and Joachims 2015; Hajek 1971).

    Formula: V = (sum of w_i * r_i) / (sum of w_i), with w = p_target / p_log.

    Assumes what `ips` assumes. Its bias is of order 1/n and its variance is mostly far smaller; it
    stays within the range of the rewards, and adding a constant to all rewards adds that constant.

    The interval is the delta method's for a ratio of two means that vary together:
    Var V = sum of (w_i * (r_i - V))^2 / (n * (n - 1) * mean(w)^2), Student's t. The normaliser is
    an estimate like the numerator: holding it fixed gives a wrong width.
    """

    name = "snips"
    width = 2
    method = "ratio of means; delta method with Student's t, rows independent"

    def columns(self, sample: Sample) -> tuple[Floats, ...]:
        """Weighted reward and weight."""
        return (sample.weighted_reward, sample.weight)

    def _estimate(self, level: float) -> Estimate:
        value = ratio_of_means(self.moments, 0, 1)
        return delta_estimate(
            moments=self.moments,
            value=value,
            gradient=ratio_gradient(self.moments, value, 1),
            level=level,
            method=self.method,
            bounds=self.bounds,
        )
