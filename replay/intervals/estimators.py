"""Estimates of a policy's value with the interval that is asked for."""

from collections.abc import Sequence
from typing import Any, cast

from replay.errors import EmptySampleError, NoOverlapError
from replay.estimate import NO_BOUNDS, Bounds, Estimate, Found
from replay.estimators.base import AdaptiveEstimator, Estimator
from replay.intervals.bets import ValueBets
from replay.intervals.bounded import BoundedColumns, Form, form_of
from replay.intervals.evidence import Evidence, make_estimate
from replay.intervals.settings import IntervalSettings, Method
from replay.sample import Sample
from replay.statistics import Column, Part, Statistics, all_pairs

_BOUNDED = frozenset({Method.BERNSTEIN, Method.LIKELIHOOD})
_OF_VALUE = frozenset({*_BOUNDED, Method.SEQUENCE})
"""Methods whose intervals rest on the rows' bounded terms, whatever estimate stands beside them."""


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
        self.forms = {name: form_of(name) for name in self.estimators}
        wanted = [_Wanted(form) for form in self.forms.values() if settings.method in _BOUNDED]
        self.statistics = Statistics([*estimators, *wanted], settings.keep)
        self.heaviest = dict.fromkeys(self.forms, 0.0)
        """Largest weight so far of each form, for likelihoods that nobody declared one for."""
        self.bets: dict[str, ValueBets] = {}
        if settings.method is Method.SEQUENCE:
            self.bets = {name: ValueBets(name, settings) for name in self.estimators}

    @property
    def units(self) -> int:
        """What the intervals count as independent: subjects, or rows."""
        return self.statistics.gathering.count

    def add(self, sample: Sample) -> None:
        """Take in the next rows.

        Raises:
            MissingColumnError: The sample lacks what an estimator or an interval needs.
            BadValueError: A row breaks what is declared.
        """
        for name, form in self.forms.items():
            form.check(sample, self.settings.max_weight)
            if self.settings.method is Method.LIKELIHOOD:
                self.heaviest[name] = max(self.heaviest[name], form.heaviest(sample))
        self.statistics.add(sample)
        for bets in self.bets.values():
            bets.add(sample)

    def merge(self, following: "EstimatorIntervals") -> None:
        """Take in the rows that come after these.

        Raises:
            MergeError: The other one is about other estimators or intervals.
        """
        self.statistics.merge(following.statistics)
        for name, weight in following.heaviest.items():
            self.heaviest[name] = max(self.heaviest[name], weight)
        for name, bets in self.bets.items():
            bets.merge(following.bets[name])

    def estimate(self, name: str, level: float, seen: Bounds = NO_BOUNDS) -> Estimate:
        """An estimator's value and interval.

        Args:
            name: Of the estimator.
            level: Confidence level, above 0 and below 1.
            seen: Smallest and largest reward of all rows; likelihoods that nobody declared bounds
                for rest on it.

        Raises:
            NoEstimateError: The data allow none.
            LevelError: The level is not between 0 and 1.
        """
        estimator = self.estimators[name]
        if self.settings.method in _OF_VALUE:
            evidence = self._promised(name, estimator.found(self.statistics), seen)
        elif isinstance(estimator, AdaptiveEstimator):
            evidence = self._evidence(estimator)
        else:
            return estimator.estimate(self.statistics, level, self.settings.bounds)
        return make_estimate(evidence, self.settings, level)

    def _evidence(self, estimator: AdaptiveEstimator) -> Evidence:
        """What intervals around a smooth function of means rest on."""
        statistics = self.statistics
        if statistics.n == 0:
            raise EmptySampleError
        try:
            one = estimator.settled(statistics)
            means = statistics.means(one.columns)
            value, gradient = one.value(means), one.gradient(means)
        except ZeroDivisionError:
            raise NoOverlapError(statistics.n) from None
        return Evidence(
            value=value,
            gradient=gradient,
            gathering=statistics.gathering,
            places=[statistics.places[column] for column in one.columns],
            value_of=cast("Any", one.value),
            method=one.method,
            range=self.settings.bounds,
            fitted=one.fitted,
            parameters=one.parameters,
        )

    def _promised(self, name: str, found: Found, seen: Bounds) -> Evidence:
        """What intervals by declared bounds rest on."""
        return Evidence(
            value=found.value,
            gathering=self.statistics.gathering,
            method=found.method,
            range=self.settings.bounds,
            seen=(seen, self.heaviest[name]),
            bounded=self._bounded(name),
            bets=self.bets.get(name),
            parameters=found.parameters,
        )

    def _bounded(self, name: str) -> BoundedColumns | None:
        if self.settings.method not in _BOUNDED:
            return None
        form = self.forms[name]
        places = [
            None if column is None else self.statistics.places[column]
            for column in (form.denominator, form.weight)
        ]
        return BoundedColumns(form.corners, self.statistics.places[form.numerator], *places)


class _Wanted:
    """The columns that a bounded interval needs beside the estimator's own."""

    parts: tuple[type[Part], ...] = ()

    def __init__(self, form: Form) -> None:
        self.columns = form.columns

    @property
    def pairs(self) -> tuple[tuple[Column, Column], ...]:
        """All of them with each other."""
        return all_pairs(self.columns)
