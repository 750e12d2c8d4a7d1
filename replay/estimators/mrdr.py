"""More robust doubly robust: the reward model is rescaled so that the estimate varies least."""

from dataclasses import dataclass
from fractions import Fraction

from replay.columns import ModelValue, Weight, WeightedReward
from replay.estimators.base import AdaptiveEstimator, ColumnEstimator
from replay.estimators.linear import Linear
from replay.sample import Sample
from replay.statistics import Column, Statistics
from replay.sums import Floats


@dataclass(frozen=True)
class ModelGap(Column):
    """w q - v: what weighting alone adds to the model's values, zero on average."""

    def of(self, sample: Sample) -> Floats:
        """The gaps."""
        return sample.weight * sample.require("q_logged", Mrdr.name) - ModelValue().of(sample)


class Mrdr(AdaptiveEstimator):
    """More robust doubly robust (Farajtabar, Chow and Ghavamzadeh 2018).

    Formula: V = (1/n) * sum of w_i * r_i - b * (w_i * q_i - v_i) - a * (w_i - 1), which is `dr`
    with the reward model a + b * q in place of q, and (a, b) that minimise the variance of V on the
    log: the regression of w r on w and w q - v. Without anything to regress on, a and b are 0.

    The paper fits a reward model by that very criterion instead of by squared error. Here it is
    applied to the model that is given, up to scale and offset, so that one pass and a closed form
    suffice. A model fitted that way can be given in `q_logged` and `v_target`.

    Assumes what `dr` assumes. For large n it varies no more than `ips` (a = b = 0) and `dr` (a = 0,
    b = 1) do, however bad the model. Its bias is of order 1/n, like that of `snips`. The interval
    is the delta method's; the choice of a and b does not move it to first order, since both gaps
    have mean zero.
    """

    name = "mrdr"
    needs = ("q_logged", "v_target")
    method = "mean less its regression on weight and model; Student's t, rows independent"
    columns = (WeightedReward(), Weight(), ModelGap())

    def settled(self, statistics: Statistics) -> ColumnEstimator:
        """The factors of the regression, fixed."""
        offset, scale = _factors(statistics) if statistics.n > 1 else (Fraction(0), Fraction(0))
        terms = {WeightedReward(): Fraction(1), Weight(): -offset, ModelGap(): -scale}
        parameters = {"offset": float(offset), "scale": float(scale)}
        return Linear((self.name, self.method), terms, offset, parameters, 2)


def _factors(statistics: Statistics) -> tuple[Fraction, Fraction]:
    """Regression of the weighted reward on weight and gap, by the normal equations."""
    of = statistics.covariance
    target, weight, gap = Mrdr.columns
    spread, joint, gaps = of(weight, weight), of(weight, gap), of(gap, gap)
    with_weight, with_gap = of(target, weight), of(target, gap)
    determinant = spread * gaps - joint * joint
    if determinant:
        offset = (with_weight * gaps - with_gap * joint) / determinant
        return offset, (with_gap * spread - with_weight * joint) / determinant
    if spread:  # the gap says nothing that the weight does not say
        return with_weight / spread, Fraction(0)
    return Fraction(0), with_gap / gaps if gaps else Fraction(0)
