"""Empirical likelihood intervals: every value that some plausible reweighting of the log gives."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from replay.intervals.quantiles import t_quantile
from replay.sums import Floats

_BARRIERS = (1e-4, 1e-12)
"""Weights of the constraints' logarithms, falling: the maximum is followed to where they vanish."""
_STEPS_MAX = 60
_SETTLED = 1e-13
"""Half the squared Newton decrement at which a maximum is found."""
_NEAR_BOUND = 1e-9
"""Share of the range that the search keeps from the bounds, where likelihoods vanish."""


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What the likelihood weighs: sums by unit, and where rows could have been."""

    numerator: Floats
    """Shape (g,)."""
    denominator: Floats
    """Shape (g,); the value is the ratio of their means."""
    balance: Floats | None
    """Shape (g,): weights less 1, whose mean is known to be 0; None where there are no weights."""
    corners: NDArray[np.float64]
    """Extremes of numerator, denominator and balance of a unit, shape (c, 3)."""


def likelihood_interval(
    terms: Terms, value: float, bounds: tuple[float, float], level: float
) -> tuple[float, float]:
    """Interval of a ratio of means by inverting empirical likelihood ratio tests.

    The log is reweighted by probabilities Q on the rows seen and on rows that could have been seen;
    those with E[numerator] = v E[denominator] and E[w] = 1 that are likeliest give v its profile
    likelihood. Its dual is max over l of sum log(1 + l . g(v)), 1 + l . g >= 0 on all that is
    possible; the interval holds every v whose dual exceeds the least one by at most half the
    squared quantile of Student's t (Owen 2001, "Empirical Likelihood"; Karampatziakis, Langford and
    Mineiro 2020, "Empirical likelihood for contextual bandits"). The profile is concave in v, so
    that this is an interval, and it cannot be inverted. It is widened to hold the value shown,
    should that lie outside.

    Assumes many units, as its quantile is an asymptotic one, and bounds that hold.

    Args:
        terms: By unit.
        value: To be held; within the bounds.
        bounds: What the value keeps; finite.
        level: Confidence level, above 0 and below 1.

    Raises:
        LevelError: The level is not between 0 and 1.
    """
    quantile = t_quantile(level, terms.numerator.size)
    low, high = bounds
    if math.isinf(quantile) or low == high:
        return bounds
    profile = _Profile(terms)
    best = min(max(profile.best(low, high), low), high)
    limit = profile(best) + quantile**2 / 2
    ends = [_edge(profile, best, bound, limit) for bound in (low, high)]
    return min(ends[0], value), max(ends[1], value)


def _edge(profile: "_Profile", best: float, bound: float, limit: float) -> float:
    """Where the profile crosses its limit between its best value and a bound."""
    outside = bound + (best - bound) * _NEAR_BOUND
    if best == bound or profile(outside) <= limit:
        return bound
    found: float = brentq(lambda v: profile(v) - limit, best, outside, xtol=1e-300, rtol=1e-14)
    return found


class _Profile:
    """The dual of the log likelihood at a value, less that of unrestricted weights."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        columns = [terms.numerator, terms.denominator]
        rows = columns if terms.balance is None else [*columns, terms.balance]
        self._units = np.stack(rows)
        self._corners = terms.corners[:, : len(rows)].T
        # Terms of order 1, whatever the rewards' unit.
        self._scale = max(float(np.abs(terms.numerator).max()), float(np.abs(terms.corners).max()))

    def __call__(self, value: float) -> float:
        """The dual's maximum at a value."""
        height, _ = _dual(self._at(self._units, value), self._at(self._corners, value))
        return height

    def best(self, low: float, high: float) -> float:
        """The likeliest value; the middle of them where corners without rows are as likely."""
        if self._terms.balance is None:
            return float(self._terms.numerator.sum() / self._terms.denominator.sum())
        units, corners = self._units[2:] / self._scale, self._corners[2:] / self._scale
        multiplier = _dual(units, corners)[1]
        mass = 1 / (1 + multiplier @ units)
        seen_top = float((mass * self._terms.numerator).sum())
        seen_bottom = float((mass * self._terms.denominator).sum())
        return self._completed(seen_top, seen_bottom, float(mass.sum()), low, high)

    def _completed(self, top: float, bottom: float, mass: float, low: float, high: float) -> float:
        """Adds the mass that no row has, on a corner of the largest balance."""
        missing = self._units.shape[1] - mass
        corner = self._terms.corners[int(np.argmax(self._terms.corners[:, 2]))]
        if missing <= 1e-6 * self._units.shape[1] or corner[1] <= 0:
            return top / bottom
        total = bottom + missing * float(corner[1])
        return float((top + missing * corner[1] * (low + high) / 2) / total)

    def _at(self, table: NDArray[np.float64], value: float) -> NDArray[np.float64]:
        first = table[0] - value * table[1]
        return np.vstack((first[None], table[2:])) / self._scale


def _dual(
    units: NDArray[np.float64], corners: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Maximum over l of sum log(1 + l . g) with 1 + l . g >= 0 on the corners, and that l.

    Args:
        units: Shape (d, g).
        corners: Shape (d, c).
    """
    multiplier = np.zeros(units.shape[0])
    for barrier in _BARRIERS:
        multiplier = _climb(units, corners, barrier, multiplier)
    return float(np.log1p(multiplier @ units).sum()), multiplier


def _climb(
    units: NDArray[np.float64],
    corners: NDArray[np.float64],
    barrier: float,
    start: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Newton's method with halved steps on the concave dual with barriers."""
    points = np.concatenate((units, corners), axis=1)
    weights = np.concatenate((np.ones(units.shape[1]), np.full(corners.shape[1], barrier)))
    multiplier, height = start, _height(points, weights, start)
    for _ in range(_STEPS_MAX):
        inverse = 1 / (1 + multiplier @ points)
        slope = points @ (weights * inverse)
        bend = (points * (weights * inverse * inverse)) @ points.T
        step = np.linalg.lstsq(bend, slope, rcond=1e-15)[0]
        if slope @ step <= 2 * _SETTLED:
            break
        size = 1.0
        while True:
            trial = multiplier + size * step
            reached = _height(points, weights, trial)
            if reached > height or size < 1e-12:  # noqa: PLR2004 - no float64 is higher
                break
            size /= 2
        if reached <= height:
            break
        multiplier, height = trial, reached
    return multiplier


def _height(
    points: NDArray[np.float64], weights: NDArray[np.float64], multiplier: NDArray[np.float64]
) -> float:
    """The dual with barriers; minus infinity outside."""
    found = multiplier @ points
    return float(weights @ np.log1p(found)) if (found > -1).all() else -math.inf
