"""What an estimator answers: a value, its interval, and how the interval was made."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from scipy.special import stdtrit

from replay.errors import BoundsError, LevelError

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
    parameters: Mapping[str, float] = field(default_factory=dict)
    """What the estimator chose from the data, by name; mostly nothing."""


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


@dataclass(frozen=True, slots=True)
class Found:
    """An estimated value and how far it scatters."""

    value: Fraction
    variance: Fraction
    """The value's variance; zero where a single row says nothing of it."""
    n: int
    """Interactions that it rests on, less the factors that were fitted to them."""
    method: str
    """How value and interval are made, in words."""
    parameters: Mapping[str, float] = field(default_factory=dict)
    """What the estimator chose from the data, by name."""


def delta_estimate(found: Found, level: float, bounds: Bounds = NO_BOUNDS) -> Estimate:
    """Interval of a smooth function of means, by the delta method.

    The variance is g' C g / n with g the function's gradient at the means and C the sample
    covariance (van der Vaart 1998, "Asymptotic Statistics", section 3.1). The quantile is Student's
    t with n - 1 degrees of freedom, which is wider than the normal one where n is small. A single
    row says nothing about variance, so that its interval is infinite (or the bounds). Value and
    interval are moved into the bounds where they leave them, which can only bring them nearer to
    the truth.

    Args:
        found: Value and variance; at least one row.
        level: Confidence level, above 0 and below 1.
        bounds: What the reward is known to keep.

    Raises:
        LevelError: The level is not between 0 and 1.
    """
    quantile = _t_quantile(level, found.n)
    half = quantile * root(found.variance) if found.n > 1 else math.inf
    centre = float(found.value)
    interval = (bounds.clip(centre - half), bounds.clip(centre + half))
    return Estimate(bounds.clip(centre), interval, found.method, found.parameters)


def _t_quantile(level: float, n: int) -> float:
    """Two-sided quantile of Student's t with n - 1 degrees of freedom."""
    if not 0 < level < 1:
        raise LevelError(level)
    return float(stdtrit(n - 1, (1 + level) / 2)) if n > 1 else math.inf


def root(square: Fraction) -> float:
    """Square root of an exact number, right also where the number itself leaves float64."""
    if square == 0:
        return 0.0
    # Scaled to an integer of at least 128 bits, whose integer root has more bits than a float64.
    shift = max(0, 128 - square.numerator.bit_length() + square.denominator.bit_length())
    shift += shift % 2
    root = math.isqrt((square.numerator << shift) // square.denominator)
    return float(Fraction(root, 1 << (shift // 2)))
