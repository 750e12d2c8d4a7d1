"""What bounded intervals look at: a ratio of means whose terms keep declared bounds."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from replay.columns import DrScore, ModelValue, Weight, WeightedReward
from replay.estimate import Bounds
from replay.estimators.balanced_ips import MixtureReward, MixtureWeight
from replay.estimators.mips import FeatureReward, FeatureWeight
from replay.estimators.stage_dr import StageDrScore, StageWeight
from replay.intervals.declared import check_weight
from replay.sample import STAGES, Sample
from replay.statistics import Column

Corner = tuple[float, float, float]
"""Numerator, denominator and weight of an extreme row."""


Corners = Callable[[Bounds, float], list[Corner]]
"""Extremes of a row, by the bounds of the reward and the largest weight."""


@dataclass(frozen=True, slots=True)
class Form:
    """A policy's value as a ratio of means: of a numerator by a denominator, by rows without one.

    Intervals by declared bounds are about the value, so that estimators that approach the same one
    share a form: what they clip, shrink or fit has no part in it.
    """

    numerator: Column
    denominator: Column | None
    weight: Column | None
    """Whose mean is known to be 1; None where there is no weight."""
    corners: Corners
    limited: tuple[tuple[str, Column], ...] = ()
    """The weights that keep the declared largest one, with names for errors."""
    beyond: float | None = None
    """How far below the bounds the numerator can lie, in declared weights and distances of the
    bounds; None where it is a weighted reward, which is on one side of 0."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that have to be gathered."""
        found = (self.numerator, self.denominator, self.weight)
        return tuple(dict.fromkeys(one for one in found if one is not None))

    def check(self, sample: Sample, max_weight: float) -> None:
        """Refuse rows whose weights break what was declared.

        Raises:
            BadValueError: A weight is above the largest.
        """
        if math.isfinite(max_weight):
            for name, column in self.limited:
                check_weight(name, column.of(sample), max_weight, sample.first_row)

    def heaviest(self, sample: Sample) -> float:
        """The largest of those weights."""
        weights = (float(one.of(sample).max(initial=0.0)) for _, one in self.limited)
        return max(weights, default=0.0)


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


def _by_stages(bounds: Bounds, most: float) -> list[Corner]:
    """A modelled value and a weighted error for each stage, whatever the whole weight."""
    far = len(STAGES) * most * (bounds.high - bounds.low)
    return [(end, 1.0, w) for end in (bounds.low - far, bounds.high + far) for w in (0.0, most)]


def _extremes(bounds: Bounds, most: float) -> Iterator[tuple[float, float]]:
    return product((0.0, most), (bounds.low, bounds.high))


def _weighing(name: str, numerator: Column, weight: Column) -> Form:
    """A reward weighted by something else than p_target / p_log."""
    return Form(numerator, None, weight, _weighted, ((name, weight),))


_OWN = (("weight", Weight()),)
_IPS = Form(WeightedReward(), None, Weight(), _weighted, _OWN)
_SNIPS = Form(WeightedReward(), Weight(), Weight(), _normalised, _OWN)
_DR = Form(DrScore(), None, Weight(), _corrected, _OWN, beyond=1.0)
_BEFORE = tuple((f"weight of the {one}", StageWeight(at)) for at, one in enumerate(STAGES[:-1]))
_FORMS: Mapping[str, Form] = MappingProxyType(
    {
        **dict.fromkeys(("ips", "clipped_ips", "weighted_ips", "stage_ips"), _IPS),
        **dict.fromkeys(("snips", "cressie_read", "mle"), _SNIPS),
        "dm": Form(ModelValue(), None, None, _modelled, beyond=0.0),
        **dict.fromkeys(("dr", "sndr", "mrdr", "clipped_dr", "switch_dr", "dr_os"), _DR),
        "stage_dr": Form(
            StageDrScore(), None, Weight(), _by_stages, (*_BEFORE, *_OWN), float(len(STAGES))
        ),
        "balanced_ips": _weighing("mixture weight", MixtureReward(), MixtureWeight()),
        "mips": _weighing("feature weight", FeatureReward(), FeatureWeight()),
    }
)


def form_of(estimator: str) -> Form:
    """The bounded form of what an estimator estimates."""
    return _FORMS[estimator]
