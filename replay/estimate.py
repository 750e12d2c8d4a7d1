"""What an estimator answers: a value, its interval, and how the interval was made."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from scipy.special import stdtrit

from replay.errors import BoundsError, LevelError
from replay.moments import Moments

DEFAULT_LEVEL = 0.95
"""Confidence level where none is asked for."""

UNBOUNDED = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimated value with its confidence interval."""

    value: float
    """In units of the reward, for one decision."""
    interval: tuple[float, float]
    """Low and high end; infinite where the data cannot say."""
    method: str
    """How value and interval were made, in words."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits that the reward is known to keep, and so the value of any policy too."""

    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise BoundsError(self.low, self.high)

    def clip(self, value: float) -> float:
        """The nearest value within the limits."""
        return min(max(value, self.low), self.high)


NO_BOUNDS = Bounds()


def delta_estimate(  # noqa: PLR0913 - a formula's terms, all named by the caller
    *,
    moments: Moments,
    value: Fraction,
    gradient: Sequence[Fraction],
    level: float,
    method: str,
    bounds: Bounds = NO_BOUNDS,
) -> Estimate:
    """Interval of a smooth function of means, by the delta method.

    The value's variance is g' C g / n with g the gradient at the means and C the sample covariance
    (van der Vaart 1998, "Asymptotic Statistics", section 3.1). The quantile is Student's t with
    n - 1 degrees of freedom, which is wider than the normal one where n is small. A single row says
    nothing about variance, so that its interval is infinite (or the bounds). Value and interval are
    moved into the bounds where they leave them, which can only bring them nearer to the truth.

    Args:
        moments: Of the columns whose means the value is made from; at least one row.
        value: The function at the means.
        gradient: Its derivative by each mean.
        level: Confidence level, above 0 and below 1.
        method: In words, for the reader.
        bounds: What the reward is known to keep.

    Raises:
        LevelError: The level is not between 0 and 1.
    """
    quantile = _t_quantile(level, moments.n)
    half = quantile * _root(moments.variance_of_mean(gradient)) if moments.n > 1 else math.inf
    centre = float(value)
    interval = (bounds.clip(centre - half), bounds.clip(centre + half))
    return Estimate(bounds.clip(centre), interval, method)


def _t_quantile(level: float, n: int) -> float:
    """Two-sided quantile of Student's t with n - 1 degrees of freedom."""
    if not 0 < level < 1:
        raise LevelError(level)
    return float(stdtrit(n - 1, (1 + level) / 2)) if n > 1 else math.inf


def _root(square: Fraction) -> float:
    """Square root of an exact number, right also where the number itself leaves float64."""
    if square == 0:
        return 0.0
    # Scaled to an integer of at least 128 bits, whose integer root has more bits than a float64.
    shift = max(0, 128 - square.numerator.bit_length() + square.denominator.bit_length())
    shift += shift % 2
    root = math.isqrt((square.numerator << shift) // square.denominator)
    return float(Fraction(root, 1 << (shift // 2)))
