"""What bounded intervals look at: a ratio of means whose terms keep declared bounds."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from replay.columns import DrScore, ModelValue, Weight, WeightedReward
from replay.errors import NoIntervalError
from replay.estimate import Bounds
from replay.intervals.settings import Method
from replay.statistics import Column

Corner = tuple[float, float, float]
"""Numerator, denominator and weight of an extreme row."""


Corners = Callable[[Bounds, float], list[Corner]]
"""Extremes of a row, by the bounds of the reward and the largest weight."""


@dataclass(frozen=True, slots=True)
class Form:
    """A value as a ratio of means: of a numerator by a denominator, by rows if there is none."""

    numerator: Column
    denominator: Column | None
    weight: Column | None
    """Whose mean is known to be 1; None where there is no weight."""
    corners: Corners

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that have to be gathered."""
        found = (self.numerator, self.denominator, self.weight)
        return tuple(dict.fromkeys(one for one in found if one is not None))


@dataclass(frozen=True, slots=True)
class BoundedColumns:
    """Where the columns of a bounded form were gathered, and the extremes of their rows."""

    corners: Corners
    numerator: int
    denominator: int | None = None
    weight: int | None = None

    def terms(self, bounds: Bounds, max_weight: float) -> NDArray[np.float64]:
        """Extremes of numerator, denominator and weight less 1, shape (c, 3)."""
        corners: NDArray[np.float64] = np.array(self.corners(bounds, max_weight))
        corners[:, 2] -= 1.0
        return corners

    def span(self, bounds: Bounds, max_weight: float, values: Bounds) -> float:
        """Largest less smallest numerator - v * denominator, for any v that the value can have.

        It is convex in v, and so largest at an end.
        """
        corners = self.terms(bounds, max_weight)
        spans = (np.ptp(corners[:, 0] - v * corners[:, 1]) for v in (values.low, values.high))
        return float(max(spans))


def paired_corners(bounds: Bounds, most: float) -> list[Corner]:
    """Extremes of (w - u) (r - c), u another policy's weight and c the middle of the bounds."""
    largest = most * (bounds.high - bounds.low) / 2
    return [(-largest, 1.0, 1.0), (largest, 1.0, 1.0)]


def _weighted(bounds: Bounds, most: float) -> list[Corner]:
    """A weighted reward for each row."""
    return [(weight * r, 1.0, weight) for weight, r in _extremes(bounds, most)]


def _normalised(bounds: Bounds, most: float) -> list[Corner]:
    """A weighted reward for each unit of weight."""
    return [(weight * r, weight, weight) for weight, r in _extremes(bounds, most)]


def _modelled(bounds: Bounds, _most: float) -> list[Corner]:
    return [(bounds.low, 1.0, 1.0), (bounds.high, 1.0, 1.0)]


def _corrected(bounds: Bounds, most: float) -> list[Corner]:
    """A modelled value and a weighted error, which is at most the bounds' distance."""
    span = bounds.high - bounds.low
    unweighted = [(end, 1.0, 0.0) for end in (bounds.low, bounds.high)]
    heaviest = [(bounds.low - most * span, 1.0, most), (bounds.high + most * span, 1.0, most)]
    return unweighted + heaviest


def _extremes(bounds: Bounds, most: float) -> Iterator[tuple[float, float]]:
    return product((0.0, most), (bounds.low, bounds.high))


_FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "ips": Form(WeightedReward(), None, Weight(), _weighted),
        "snips": Form(WeightedReward(), Weight(), Weight(), _normalised),
        "dm": Form(ModelValue(), None, None, _modelled),
        "dr": Form(DrScore(), None, Weight(), _corrected),
    }
)


def form_of(estimator: str, method: Method) -> Form:
    """The bounded form of an estimator.

    Raises:
        NoIntervalError: It has none.
    """
    if estimator not in _FORMS:
        raise NoIntervalError(method.value, estimator, tuple(_FORMS))
    return _FORMS[estimator]
