"""From what was gathered to an estimate: the one place that knows every interval method."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from replay.estimate import NO_BOUNDS, Bounds, Estimate
from replay.gathering import Gathering
from replay.intervals.bernstein import bernstein_half, bernstein_ratio_interval
from replay.intervals.bets import Bets
from replay.intervals.bootstrap import ValueOf, bootstrap_interval, resample
from replay.intervals.bounded import BoundedColumns
from replay.intervals.delta import delta_interval
from replay.intervals.likelihood import Terms, likelihood_interval
from replay.intervals.settings import IntervalSettings, Keep, Method
from replay.intervals.skew import skew_interval
from replay.intervals.spread import Spread
from replay.intervals.units import Units
from replay.sums import Floats

Interval = tuple[float, float]

_WORDS: Mapping[Method, str] = {
    Method.SKEW: "delta method corrected for skewness",
    Method.DELTA: "delta method with Student's t",
    Method.BOOTSTRAP: "Poisson bootstrap, BCa",
    Method.BERNSTEIN: "empirical Bernstein bound within the declared bounds",
    Method.LIKELIHOOD: "empirical likelihood",
    Method.SEQUENCE: "confidence sequence, valid at every row",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """A value and all that an interval around it may rest on."""

    value: Fraction
    gathering: Gathering
    method: str
    """How the value is made, in words."""
    range: Bounds
    """What the value keeps, by declaration."""
    places: Sequence[int] = ()
    """Its columns among those gathered."""
    gradient: Sequence[Fraction] = ()
    """Derivative by the mean of each of them."""
    value_of: ValueOf | None = None
    """The value by these means."""
    seen: tuple[Bounds, float] = (NO_BOUNDS, math.inf)
    """Smallest and largest reward, and largest weight, of all rows."""
    fitted: int = 0
    """Factors that were fitted to the same rows."""
    bounded: BoundedColumns | None = None
    bets: Bets | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)


def make_estimate(evidence: Evidence, settings: IntervalSettings, level: float) -> Estimate:
    """The value with the interval asked for, both moved into what was declared.

    Raises:
        LevelError: The level is not between 0 and 1.
    """
    low, high = _INTERVALS[settings.method](evidence, settings, level)
    keep = evidence.range.clip
    value = keep(float(evidence.value))
    # Sequences, bounds and likelihoods are about the policy's value, not about this estimate of it.
    interval = (min(keep(low), value), max(keep(high), value))
    return Estimate(value, interval, _described(evidence, settings), evidence.parameters)


def _described(evidence: Evidence, settings: IntervalSettings) -> str:
    rows = "rows clustered by subject" if settings.clustered else "rows independent"
    if settings.method is Method.SEQUENCE:
        rows = "rows in their order"
    made = evidence.method.partition(";")[0]
    return f"{made}; {_WORDS[settings.method]}, {rows}"


def _spread(evidence: Evidence) -> Spread:
    found = evidence.gathering.spread(evidence.gradient, evidence.places)
    return found.without(evidence.fitted) if evidence.fitted else found


def _delta(evidence: Evidence, _settings: IntervalSettings, level: float) -> Interval:
    return delta_interval(float(evidence.value), _spread(evidence), level)


def _skew(evidence: Evidence, _settings: IntervalSettings, level: float) -> Interval:
    return skew_interval(float(evidence.value), _spread(evidence), level)


def _bootstrap(evidence: Evidence, _settings: IntervalSettings, level: float) -> Interval:
    assert evidence.value_of is not None  # noqa: S101 - tells mypy what the settings say
    units = evidence.gathering.units(evidence.places)
    resamples = resample(units, evidence.value_of)
    return bootstrap_interval(float(evidence.value), _spread(evidence), resamples, level)


def _sequence(evidence: Evidence, _settings: IntervalSettings, level: float) -> Interval:
    assert evidence.bets is not None  # noqa: S101 - tells mypy what the settings say
    return evidence.bets.interval(level)


def _bernstein(evidence: Evidence, settings: IntervalSettings, level: float) -> Interval:
    assert evidence.bounded is not None  # noqa: S101 - the same
    columns, bounds = evidence.bounded, evidence.range
    means, covariance, units, largest = _second_moments(evidence.gathering, columns)
    span = columns.span(settings.bounds, settings.max_weight, bounds) * largest

    def at(value: float) -> tuple[float, float]:
        factors = np.array([1.0, -value])
        return float(factors @ means), float(factors @ covariance @ factors)

    return bernstein_ratio_interval(
        float(means[0] / means[1]),
        at,
        lambda variance: bernstein_half(max(variance, 0.0), span, units, level),
        (bounds.low, bounds.high),
    )


def _second_moments(
    gathering: Gathering, columns: BoundedColumns
) -> tuple[Floats, NDArray[np.float64], int, float]:
    """Means of numerator and denominator, covariance of the means, units, and the largest unit.

    The latter is in units of the mean one: a unit's term has its rows' range times that.
    """
    if gathering.keep is Keep.SUBJECTS:
        units, pair = _unit_terms(gathering, columns)
        means = pair.sum(axis=1) / units.rows
        covariance = np.zeros((2, 2))
        if units.count > 1:
            covariance = np.cov(pair) * units.count / units.rows**2
        return means, covariance, units.count, float(units.sizes.max()) * units.count / units.rows
    moments, n = gathering.moments, gathering.n
    places = [columns.numerator, columns.denominator]
    means = np.array([1.0 if one is None else float(moments.mean(one)) for one in places])
    covariance = np.zeros((2, 2))
    for row, one in enumerate(places):
        for column, other in enumerate(places):
            if one is not None and other is not None and n > 1:
                covariance[row, column] = float(moments.covariance(one, other)) / n
    return means, covariance, n, 1.0


def _unit_terms(gathering: Gathering, columns: BoundedColumns) -> tuple[Units, NDArray[np.float64]]:
    """Sums of numerator and denominator by unit, shape (2, g)."""
    places = [one for one in (columns.numerator, columns.denominator) if one is not None]
    units = gathering.units(places)
    rows = list(units.sums) if columns.denominator is not None else [units.sums[0], units.sizes]
    return units, np.stack(rows)


def _likelihood(evidence: Evidence, settings: IntervalSettings, level: float) -> Interval:
    assert evidence.bounded is not None  # noqa: S101 - the same
    columns = evidence.bounded
    units, pair = _unit_terms(evidence.gathering, columns)
    balance = None
    if columns.weight is not None:
        balance = evidence.gathering.units([columns.weight]).sums[0] - units.sizes
    bounds, most = _extremes(evidence, settings)
    # What could have been seen as well: a unit of the usual size.
    corners = columns.terms(bounds, most) * (units.rows / units.count)
    value = min(max(float(evidence.value), bounds.low), bounds.high)
    return likelihood_interval(
        Terms(pair[0], pair[1], balance, corners), value, (bounds.low, bounds.high), level
    )


def _extremes(evidence: Evidence, settings: IntervalSettings) -> tuple[Bounds, float]:
    """Bounds and largest weight as declared, or else as seen."""
    seen, heaviest = evidence.seen
    bounds = settings.bounds if settings.is_bounded else seen
    declared = settings.max_weight
    return bounds, declared if math.isfinite(declared) else max(heaviest, 1.0)


_INTERVALS: Mapping[Method, Callable[[Evidence, IntervalSettings, float], Interval]] = {
    Method.SKEW: _skew,
    Method.DELTA: _delta,
    Method.BOOTSTRAP: _bootstrap,
    Method.BERNSTEIN: _bernstein,
    Method.LIKELIHOOD: _likelihood,
    Method.SEQUENCE: _sequence,
}
