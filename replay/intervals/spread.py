"""How a value spreads: its standard error and its skewness, from units or from exact moments."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from replay.intervals.units import Units

_ROUNDING = 8 * float(np.finfo(np.float64).eps)
"""Relative rounding of a few additions and products."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What an interval around a smooth function of means rests on."""

    units: int
    """Independent units: rows, or subjects."""
    error: float
    """Standard error of the value; infinite where one unit says nothing about it."""
    skew: float
    """Skewness of a unit's influence by the square root of their number, from -1 to 1."""

    def without(self, fitted: int) -> "Spread":
        """With the degrees of freedom that factors took which were fitted to the same units."""
        units, growth = freedom(self.units, fitted)
        if units == 1:
            return Spread(1, math.inf, 0.0)
        return Spread(units, self.error * math.sqrt(growth), self.skew)


def freedom(n: int, fitted: int) -> tuple[int, Fraction]:
    """What factors that were fitted to the same units cost, as in a regression.

    Returns:
        The units less those factors, and what a variance with the divisor n - 1 grows by. Where
        nothing is left it is one unit, which says nothing about variance.
    """
    free = n - 1 - fitted
    return (free + 1, Fraction(n - 1, free)) if free > 0 else (1, Fraction(1))


def clustered_spread(units: Units, gradient: Sequence[float]) -> Spread:
    """Spread of a function of means whose rows depend on each other within units.

    With S the sums of a unit, m its rows, n all rows, x the means and g the gradient there, the
    influence of a unit is d = g' (S - m x) / n, and Var = G / (G - 1) * sum of d^2: the sandwich
    with the usual correction for few clusters (Liang and Zeger 1986, "Longitudinal data analysis
    using generalized linear models"; Cameron and Miller 2015, "A practitioner's guide to
    cluster-robust inference").

    Args:
        units: Of the columns whose means the value is made from.
        gradient: The function's derivative by each mean.
    """
    if units.count < 2:  # noqa: PLR2004 - two units are needed for a variance
        return Spread(units.count, math.inf, 0.0)
    factors = np.asarray(gradient)
    residual = units.sums - np.outer(units.sums.sum(axis=1) / units.rows, units.sizes)
    # Scaled by the largest: squares and cubes of tiny or huge influences stay within float64.
    influence = _without_noise(factors[:, np.newaxis] * residual) / units.rows
    scale = float(np.abs(influence).max())
    if scale == 0:
        return Spread(units.count, 0.0, 0.0)
    unit = influence / scale
    square = float((unit * unit).sum())
    cube = float((unit * unit * unit).sum())
    error = scale * math.sqrt(square * units.count / (units.count - 1))
    return Spread(units.count, error, cube / square**1.5)


def _without_noise(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of k parts each; where they cancel but for rounding, 0."""
    sums: NDArray[np.float64] = parts.sum(axis=0)
    noise = _ROUNDING * np.abs(parts).sum(axis=0)
    return np.where(np.abs(sums) <= noise, 0.0, sums)
