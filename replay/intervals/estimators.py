"""Estimates of a policy's value with the interval that is asked for."""

from collections.abc import Sequence
from typing import Any, cast

from replay.errors import EmptySampleError, NoOverlapError
from replay.estimate import Estimate
from replay.estimators.base import AdaptiveEstimator, ColumnEstimator, Estimator
from replay.intervals.bets import ValueBets
from replay.intervals.bounded import BoundedColumns, form_of
from replay.intervals.evidence import NOTHING_SEEN, Evidence, Seen, make_estimate
from replay.intervals.settings import IntervalSettings, Method
from replay.sample import Sample
from replay.statistics import Column, Part, Statistics, all_pairs

_BOUNDED = frozenset({Method.BERNSTEIN, Method.LIKELIHOOD})


class EstimatorIntervals:
    """Gathers what some estimators and their intervals need, and makes estimates of it."""

    def __init__(self, estimators: Sequence[Estimator], settings: IntervalSettings) -> None:
        """Nothing gathered yet.

        Raises:
            NoIntervalError: An estimator has no interval of this kind.
            UndeclaredError: It needs something declared.
        """
        self.estimators = {one.name: one for one in estimators}
        self.settings = settings.known(has_subjects=False)
        wanted = [_Wanted(one, settings) for one in estimators]
        self.statistics = Statistics([*estimators, *wanted], settings.keep)
        self.bets: dict[str, ValueBets] = {}
        if settings.method is Method.SEQUENCE:
            self.bets = {one.name: ValueBets(one.name, settings) for one in estimators}

    @property
    def units(self) -> int:
        """What the intervals count as independent: subjects, or rows."""
        return self.statistics.gathering.count

    def add(self, sample: Sample) -> None:
        """Take in the next rows.

        Raises:
            MissingColumnError: The sample lacks what an estimator or an interval needs.
        """
        self.statistics.add(sample)
        for bets in self.bets.values():
            bets.add(sample)

    def merge(self, following: "EstimatorIntervals") -> None:
        """Take in the rows that come after these.

        Raises:
            MergeError: The other one is about other estimators or intervals.
        """
        self.statistics.merge(following.statistics)
        for name, bets in self.bets.items():
            bets.merge(following.bets[name])

    def estimate(self, name: str, level: float, seen: Seen = NOTHING_SEEN) -> Estimate:
        """An estimator's value and interval.

        Args:
            name: Of the estimator.
            level: Confidence level, above 0 and below 1.
            seen: Smallest and largest reward, and largest weight, of all rows; likelihoods that
                nobody declared bounds for rest on it.

        Raises:
            NoEstimateError: The data allow none.
            LevelError: The level is not between 0 and 1.
        """
        estimator = self.estimators[name]
        if not isinstance(estimator, AdaptiveEstimator):
            return estimator.estimate(self.statistics, level, self.settings.bounds)
        if self.statistics.n == 0:
            raise EmptySampleError
        try:
            evidence = self._evidence(name, estimator.settled(self.statistics), seen)
        except ZeroDivisionError:
            raise NoOverlapError(self.statistics.n) from None
        return make_estimate(evidence, self.settings, level)

    def _evidence(self, name: str, estimator: ColumnEstimator, seen: Seen) -> Evidence:
        statistics = self.statistics
        means = statistics.means(estimator.columns)
        return Evidence(
            value=estimator.value(means),
            gradient=estimator.gradient(means),
            gathering=statistics.gathering,
            places=[statistics.places[column] for column in estimator.columns],
            value_of=cast("Any", estimator.value),
            method=estimator.method,
            range=self.settings.bounds,
            seen=seen,
            fitted=estimator.fitted,
            bounded=self._bounded(name),
            bets=self.bets.get(name),
            parameters=estimator.parameters,
        )

    def _bounded(self, name: str) -> BoundedColumns | None:
        if self.settings.method not in _BOUNDED:
            return None
        form = form_of(name, self.settings.method)
        places = [
            None if column is None else self.statistics.places[column]
            for column in (form.denominator, form.weight)
        ]
        return BoundedColumns(form.corners, self.statistics.places[form.numerator], *places)


class _Wanted:
    """The columns that a bounded interval needs beside the estimator's own."""

    parts: tuple[type[Part], ...] = ()

    def __init__(self, estimator: Estimator, settings: IntervalSettings) -> None:
        self.columns: tuple[Column, ...] = ()
        if settings.method in _BOUNDED:
            self.columns = form_of(estimator.name, settings.method).columns

    @property
    def pairs(self) -> tuple[tuple[Column, Column], ...]:
        """All of them with each other."""
        return all_pairs(self.columns)
