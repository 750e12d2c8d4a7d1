"""Poisson bootstrap: how the value varies over logs made of the same units in other numbers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from policy.compiled import compiled
from replay.intervals.quantiles import check_level
from replay.intervals.spread import Spread
from replay.intervals.units import Units
from replay.sample import Ints
from replay.sums import Floats

RESAMPLES = 2_000
"""Resamples: the ends of a 95% interval then vary by a twentieth of a standard error by chance."""

SEED = 0x5EED
"""Mixed into the draws, so that they are not those of another hash of the same ids."""

_COUNTS_MAX = 20
"""A unit is drawn this often in less than one of 10^18 draws."""

ValueOf = Callable[[Sequence[float]], float]
"""The value by the means of k columns; divides by zero where there is none."""


@dataclass(frozen=True, slots=True)
class Resamples:
    """Values of resampled logs."""

    values: Floats
    """Rising; without those that have no value, such as ratios of nothing by nothing."""

    def quantile(self, share: float) -> float:
        """The value that a share of the resamples lies below, interpolated."""
        return float(np.quantile(self.values, share))

    def share_below(self, value: float) -> float:
        """Share of resamples below a value; those that equal it count half."""
        below = np.searchsorted(self.values, value, side="left")
        upto = np.searchsorted(self.values, value, side="right")
        return float(below + upto) / (2 * self.values.size)


def resample(units: Units, value_of: ValueOf, resamples: int = RESAMPLES) -> Resamples:
    """Values of logs in which each unit stands a Poisson(1) number of times.

    Numerators and denominators are drawn together: a ratio's normaliser varies as it does in life.
    How often a unit stands in which resample is a hash of its id, so that chunks and processes
    change nothing (Hanley and MacGibbon 2006, "Creating non-parametric bootstrap samples using
    Poisson frequencies"; Chamandy and others 2012, "Estimating uncertainty for massive data
    streams").

    Args:
        units: Of the columns whose means the value is made from.
        value_of: The value by the means.
        resamples: How many.
    """
    table = np.vstack((units.sizes, units.sums))
    drawn = _drawn(
        units.ids, np.ascontiguousarray(table.T), _THRESHOLDS, resamples, np.uint64(SEED)
    )
    means = (row[1:] / row[0] for row in drawn if row[0])
    values = np.array([_value_at(value_of, one.tolist()) for one in means])
    return Resamples(np.sort(values[np.isfinite(values)]))


def _value_at(value_of: ValueOf, means: Sequence[float]) -> float:
    """The value at some means; not a number where there is none."""
    try:
        return float(value_of(means))
    except ZeroDivisionError:
        return math.nan


def bootstrap_interval(
    value: float, spread: Spread, resamples: Resamples, level: float
) -> tuple[float, float]:
    """Interval by the quantiles of resampled values, corrected for bias and skewness.

    Efron's BCa (Efron 1987, "Better bootstrap confidence intervals"): with z0 the normal quantile
    of the share of resamples below the value and a a sixth of the influences' skewness, the
    quantiles are taken at the normal probabilities of z0 + (z0 + z) / (1 - a (z0 + z)).

    Assumes many units. The interval holds the value.

    Args:
        value: Of the log itself.
        spread: Of that value, for its skewness.
        resamples: Of the same log.
        level: Confidence level, above 0 and below 1.

    Raises:
        LevelError: The level is not between 0 and 1.
    """
    check_level(level)
    if spread.units < 2 or resamples.values.size < 2:  # noqa: PLR2004 - nothing varies
        return -math.inf, math.inf
    room = 0.5 / resamples.values.size
    bias = float(ndtri(min(max(resamples.share_below(value), room), 1 - room)))
    z = float(ndtri((1 + level) / 2))
    low, high = (_corrected(bias, spread.skew / 6, side) for side in (-z, z))
    return min(resamples.quantile(low), value), max(resamples.quantile(high), value)


def _corrected(bias: float, acceleration: float, z: float) -> float:
    """BCa's probability; past the pole the outermost one, so that intervals stay nested."""
    moved = bias + z
    slope = 1 - acceleration * moved
    return float(ndtr(bias + moved / slope)) if slope > 0 else float(moved > 0)


def _thresholds() -> NDArray[np.uint64]:
    """For each count, the 64-bit number below which a draw is at most that count."""
    total, term, found = 0.0, math.exp(-1.0), []
    for count in range(_COUNTS_MAX):
        total += term
        term /= count + 1
        found.append(min(int(total * 2.0**64), 2**64 - 1))
    return np.array(found, dtype=np.uint64)


_THRESHOLDS = _thresholds()


@compiled
def _drawn(
    ids: Ints, table: Floats, thresholds: NDArray[np.uint64], resamples: int, seed: np.uint64
) -> NDArray[np.float64]:
    """Sums of the rows of a table, shape (g, k), each counted by hashed Poisson numbers: (b, k).

    The draws of a unit are SplitMix64's stream that starts at its id (Steele, Lea and Flood 2014,
    "Fast splittable pseudorandom number generators").
    """
    units, width = table.shape
    sums = np.zeros((resamples, width))
    for unit in range(units):
        state = np.uint64(ids[unit]) ^ seed
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
        for turn in range(resamples):
            state += np.uint64(0x9E3779B97F4A7C15)
            mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
            count = 0
            while count < thresholds.size and mixed >= thresholds[count]:
                count += 1
            if count:
                for column in range(width):
                    sums[turn, column] += count * table[unit, column]
    return sums
