"""Intervals that lean to the side of the tail: the delta method, corrected for skewness."""

import math

from replay.intervals.quantiles import t_quantile
from replay.intervals.spread import Spread

_NO_SKEW = 1e-15
"""Below it the correction is less than a float64's last digit."""


def skew_interval(value: float, spread: Spread, level: float) -> tuple[float, float]:
    """Interval by the transformation that takes the skewness out of a studentised mean.

    With t the studentised value and s the skewness of a unit divided by the square root of their
    number, g(t) = t + s t^2 / 3 + s^2 t^3 / 27 + s / 6 is normal to the second order (Hall 1992,
    "On the removal of skewness by transformation"). It rises everywhere, so that the interval is
    its inverse at the two quantiles, taken from Student's t as in the delta method. Without
    skewness it is that of the delta method.

    Assumes that the units are many enough for their sample skewness to mean something. It is the
    default, since it keeps its coverage where rewards are rare or weights heavy.

    Args:
        value: Of a smooth function of means.
        spread: Of that value.
        level: Confidence level, above 0 and below 1.

    Raises:
        LevelError: The level is not between 0 and 1.
    """
    quantile = t_quantile(level, spread.units)
    if spread.error == 0 or math.isinf(spread.error):
        return value - spread.error, value + spread.error
    low = value - spread.error * max(_inverse(quantile, spread.skew), 0.0)
    high = value - spread.error * min(_inverse(-quantile, spread.skew), 0.0)
    return low, high


def _inverse(x: float, skew: float) -> float:
    """Where Hall's transformation takes the value x."""
    if abs(skew) < _NO_SKEW:
        return x
    scaled = skew * (x - skew / 6)
    # The root less 1, without losing digits where it is near 1.
    less_one = math.expm1(math.log1p(scaled) / 3) if scaled > -0.5 else math.cbrt(1 + scaled) - 1  # noqa: PLR2004
    return 3 / skew * less_one
