"""Symmetric intervals: the delta method with Student's t."""

from replay.intervals.quantiles import t_quantile
from replay.intervals.spread import Spread


def delta_interval(value: float, spread: Spread, level: float) -> tuple[float, float]:
    """Value plus and minus t standard errors.

    The value's variance is g' C g / n with g the gradient of the value by the means and C their
    covariance (van der Vaart 1998, "Asymptotic Statistics", section 3.1). The quantile is Student's
    t with one degree of freedom less than there are units, wider than the normal one where they are
    few.

    Assumes many units and little skewness: rare rewards and heavy weights make it miss on the side
    of the tail.

    Args:
        value: Of the function at the means.
        spread: Of that value.
        level: Confidence level, above 0 and below 1.

    Raises:
        LevelError: The level is not between 0 and 1.
    """
    quantile = t_quantile(level, spread.units)
    half = quantile * spread.error if spread.error else 0.0
    return value - half, value + half
