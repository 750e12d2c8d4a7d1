"""What an estimator answers: a value, its interval, and how the interval was made."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from replay.errors import BoundsError
from replay.intervals.delta import delta_interval
from replay.intervals.spread import Spread
from replay.moments import root

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
    error = root(found.variance) if found.n > 1 else math.inf
    centre = float(found.value)
    low, high = delta_interval(centre, Spread(found.n, error, 0.0), level)
    interval = (bounds.clip(low), bounds.clip(high))
    return Estimate(bounds.clip(centre), interval, found.method, found.parameters)


def estimate_json(estimate: Estimate | None) -> dict[str, Any]:
    """An estimate as contracts state it; what is infinite, or not there, is null."""
    if estimate is None:
        return {"value": None, "interval": [None, None], "method": "the data allow no estimate"}
    low, high = estimate.interval
    chosen = {name: finite(value) for name, value in estimate.parameters.items()}
    return {
        "value": estimate.value,
        "interval": [finite(low), finite(high)],
        "method": estimate.method,
        **({"parameters": chosen} if chosen else {}),
    }


def optional_json(estimate: Estimate | None) -> dict[str, Any] | None:
    """An estimate as contracts state it; null where nobody asked for one."""
    return None if estimate is None else estimate_json(estimate)


def finite(value: float | None) -> float | None:
    """JSON knows neither infinity nor NaN."""
    return value if value is not None and math.isfinite(value) else None
