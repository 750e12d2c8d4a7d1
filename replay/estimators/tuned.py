"""Estimators with a limit λ on their weights, which SLOPE++ chooses from a grid."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from typing import ClassVar

from replay.estimators.base import AdaptiveEstimator, ColumnEstimator, MeanEstimator
from replay.slope import Candidate, slope
from replay.statistics import Column, Statistics

CLIPS: tuple[float, ...] = tuple(2.0**power for power in range(12, 0, -1))
"""Limits on a weight, from 4,096 down to 2. Weights have mean 1, so that a lower limit would cut
into nearly every log."""

SHRINKAGES: tuple[float, ...] = tuple(4.0**power for power in range(12, -1, -1))
"""The same for limits that are compared with a weight's square, down to 1."""


class TunedEstimator(AdaptiveEstimator):
    """The mean of a score with a limit λ; an infinite one changes nothing, and has no bias."""

    unlimited: ClassVar[Column]
    """The score with an infinite limit."""
    grid: ClassVar[tuple[float, ...]]
    """Finite limits, falling."""
    last: ClassVar[Mapping[float, Column]] = {}
    """Scores at the other end, for limits that leave no weight at all."""

    @abstractmethod
    def score(self, limit: float) -> Column:
        """The score with a finite limit."""

    @cached_property
    def scores(self) -> Mapping[float, Column]:
        """The score for each limit, from the least biased to the most."""
        limited = {limit: self.score(limit) for limit in self.grid}
        return {math.inf: self.unlimited, **limited, **self.last}

    @property
    def columns(self) -> tuple[Column, ...]:
        """The scores."""
        return tuple(self.scores.values())

    @property
    def pairs(self) -> tuple[tuple[Column, Column], ...]:
        """Each score's own square: one of them alone is used in the end."""
        return tuple((column, column) for column in self.columns)

    def settled(self, statistics: Statistics) -> ColumnEstimator:
        """The mean of the score whose limit was chosen."""
        limit = self._limit(statistics) if statistics.n > 1 else math.inf
        return _Chosen(self.name, self.scores[limit], limit)

    def _limit(self, statistics: Statistics) -> float:
        candidates = [self._candidate(statistics, score) for score in self.scores.values()]
        return list(self.scores)[slope(candidates)]

    def _candidate(self, statistics: Statistics, score: Column) -> Candidate:
        (mean,) = statistics.means([score])
        return Candidate(mean, statistics.variance([score], [Fraction(1)]))


class _Chosen(MeanEstimator):
    """The mean of a score whose limit is fixed."""

    def __init__(self, name: str, score: Column, limit: float) -> None:
        self.name = name
        self.score = score
        self.limit = limit
        self.method = (
            f"mean of scores with λ = {limit:g}, chosen by SLOPE++, without the limit's bias; "
            "Student's t, rows independent"
        )

    @property
    def parameters(self) -> Mapping[str, float]:
        """The chosen limit."""
        return {"lambda": self.limit}
