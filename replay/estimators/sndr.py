"""Self-normalised doubly robust: the model's errors are averaged by their weights."""

from collections.abc import Sequence
from fractions import Fraction

from replay.columns import Correction, ModelValue, Weight
from replay.estimators.base import ColumnEstimator


class Sndr(ColumnEstimator):
    """Self-normalised doubly robust (Robins and others 2007; Thomas and Brunskill 2016).

    Formula: V = (1/n) * sum of v_i + (sum of w_i * (r_i - q_i)) / (sum of w_i), with
    w = p_target / p_log.

    Assumes what `dr` assumes. Its bias is of order 1/n; a few heavy weights move it less than they
    move `dr`, since they count in the normaliser too. The interval is the delta method's for the
    three means, which vary together.
    """

    name = "sndr"
    needs = ("q_logged", "v_target")
    method = "mean plus a ratio of means; delta method with Student's t, rows independent"
    columns = (ModelValue(), Correction(), Weight())

    def value(self, means: Sequence[Fraction]) -> Fraction:
        """The model's mean value plus the weighted mean of its errors."""
        model, correction, weight = means
        return model + correction / weight

    def gradient(self, means: Sequence[Fraction]) -> tuple[Fraction, ...]:
        """Derivative by model value, weighted error and weight."""
        _, correction, weight = means
        return (Fraction(1), 1 / weight, -correction / weight**2)
