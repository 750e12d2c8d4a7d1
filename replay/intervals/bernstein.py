"""Empirical Bernstein intervals: never miss more often than they say, at any number of rows."""

import math
from collections.abc import Callable

from replay.intervals.quantiles import check_level

MeanAndVariance = Callable[[float], tuple[float, float]]
"""At a value v, the mean over all rows of w (r - v), and the variance of that mean."""


def bernstein_half(variance: float, spread: float, units: int, level: float) -> float:
    """Half the width of an empirical Bernstein interval around a mean of bounded terms.

    sqrt(2 n Var log(4 / d)) / n + 7 R log(4 / d) / (3 (n - 1)) with d = 1 - level, R the range of a
    term and Var the sample variance (divisor n - 1): theorem 4 of Maurer and Pontil 2009,
    "Empirical Bernstein bounds and sample-variance penalization", for each side with half of d.
    Their theorem 11 needs independent terms only, not equally distributed ones, which units of
    several sizes are.

    Args:
        variance: Of the mean itself: sample variance of a term by the number of terms.
        spread: Largest term less smallest, as declared, not as seen.
        units: Independent terms.
        level: Confidence level, above 0 and below 1.

    Raises:
        LevelError: The level is not between 0 and 1.
    """
    check_level(level)
    if units < 2:  # noqa: PLR2004 - two are needed for a variance
        return math.inf
    log = math.log(4 / (1 - level))
    return math.sqrt(2 * variance * log) + 7 * spread * log / (3 * (units - 1))


def bernstein_ratio_interval(
    value: float, at: MeanAndVariance, half: Callable[[float], float], bounds: tuple[float, float]
) -> tuple[float, float]:
    """Interval of a ratio of means E[w r] / E[w], by inverting tests.

    At the true value v the terms w (r - v) have mean 0 and a known range. Every v at which their
    mean lies within its empirical Bernstein half width is kept (Fieller's device, 1954), so that
    the normaliser's own variation counts and no union of two intervals is needed.

    Args:
        value: The ratio of the log's own means.
        at: Mean of the terms at a value, and that mean's variance.
        half: Half width by that variance.
        bounds: Declared bounds of the reward.
    """

    def is_kept(candidate: float) -> bool:
        mean, variance = at(candidate)
        return abs(mean) <= half(variance)

    start = min(max(value, bounds[0]), bounds[1])
    if not is_kept(start):  # declared bounds that a chance of 1 - level puts far from the data
        return start, start
    return _edge(start, bounds[0], is_kept), _edge(start, bounds[1], is_kept)


def _edge(inside: float, bound: float, is_kept: Callable[[float], bool]) -> float:
    """Where values cease to be kept between one that is and a bound.

    The mean is linear and the half width convex in the value, so that there is one such place at
    most.
    """
    if is_kept(bound):
        return bound
    outside = bound
    while True:
        middle = (inside + outside) / 2
        if middle in (inside, outside):
            return outside
        inside, outside = (middle, outside) if is_kept(middle) else (inside, middle)
