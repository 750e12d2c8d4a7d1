"""The difference of two policies on the same interactions, with an interval of its own."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, cast

import numpy as np

from replay.errors import (
    EmptySampleError,
    MergeError,
    NoOverlapError,
    UndeclaredError,
    UnknownEstimatorError,
    UnpairedError,
)
from replay.estimate import DEFAULT_LEVEL, Bounds, Estimate
from replay.estimators import ColumnEstimator, Dm, Dr, Ips, Sndr, Snips
from replay.gathering import Gathering
from replay.intervals.bets import DifferenceBets
from replay.intervals.bounded import BoundedColumns, paired_corners
from replay.intervals.declared import check_declared, check_weight
from replay.intervals.evidence import Evidence, make_estimate
from replay.intervals.quantiles import check_level
from replay.intervals.settings import DEFAULT_INTERVALS, IntervalSettings, Method
from replay.sample import Sample
from replay.sums import Floats


class PairedDifference:
    """Value of a candidate policy minus that of a baseline, on one log.

    Both estimates rest on the same customers and the same luck, which cancels in the difference:
    its interval is narrower than two separate ones suggest, and a policy compared with itself
    differs by exactly 0 with an interval of no width.

    The variance is the delta method's on the joint means of both policies' columns. For `snips` and
    independent rows that is sum of (w_c (r - V_c) / mean(w_c) - w_b (r - V_b) / mean(w_b))^2 / (n
    (n - 1)). Intervals by declared bounds rest on the mean of (w_c - w_b) (r - c), c the middle of
    the bounds.
    """

    def __init__(
        self,
        estimator: ColumnEstimator,
        settings: IntervalSettings = DEFAULT_INTERVALS,
    ) -> None:
        """Of nothing yet.

        Args:
            estimator: Which one is paired.
            settings: Which interval, and what is declared for it, of both policies.

        Raises:
            UndeclaredError: The interval needs something declared.
        """
        if settings.method is Method.LIKELIHOOD and not settings.is_bounded:
            raise UndeclaredError("likelihood of a difference", "the reward's --bounds LOW HIGH")
        self.estimator = estimator
        self.settings = settings
        self.heaviest = 1.0
        width = 2 * len(estimator.columns)
        self._bounded = BoundedColumns(paired_corners, width) if self._is_bounded else None
        self.gathering = Gathering(width + self._is_bounded, settings.keep)
        is_sequence = settings.method is Method.SEQUENCE
        self.bets = DifferenceBets(settings) if is_sequence else None

    @property
    def name(self) -> str:
        """The estimator that it pairs."""
        return self.estimator.name

    @property
    def _is_bounded(self) -> bool:
        return self.settings.method in {Method.BERNSTEIN, Method.LIKELIHOOD}

    def add(self, candidate: Sample, baseline: Sample) -> None:
        """Take in a chunk of interactions, once with each policy's probabilities.

        The logging policy itself is a baseline whose p_target is p_log.

        Raises:
            UnpairedError: The two differ in their rewards or their logged probabilities.
            BadValueError: A row breaks what is declared.
        """
        for column in ("reward", "p_log"):
            if not np.array_equal(getattr(candidate, column), getattr(baseline, column)):
                raise UnpairedError(column)
        for sample in (candidate, baseline):
            check_declared(sample, self.settings)
            check_weight("weight", sample.weight, self.settings.max_weight, sample.first_row)
        columns = [
            one.of(sample) for sample in (candidate, baseline) for one in self.estimator.columns
        ]
        if self._is_bounded:
            columns.append(self._centred(candidate, baseline))
            for sample in (candidate, baseline):
                self.heaviest = max(self.heaviest, float(sample.weight.max(initial=0.0)))
        self.gathering.add(candidate.subject, *columns)
        if self.bets:
            self.bets.add(candidate, baseline)

    def merge(self, other: "PairedDifference") -> None:
        """Take in the rows that come after these, from another comparison of the same form.

        Raises:
            MergeError: The other one pairs another estimator, or has other intervals.
        """
        if other.name != self.name or other.settings != self.settings:
            raise MergeError(f"{self.name} {self.settings}", f"{other.name} {other.settings}")
        self.gathering.merge(other.gathering)
        self.heaviest = max(self.heaviest, other.heaviest)
        if self.bets and other.bets:
            self.bets.merge(other.bets)

    def estimate(self, level: float = DEFAULT_LEVEL) -> Estimate:
        """Candidate minus baseline for one decision, and its confidence interval.

        Raises:
            EmptySampleError: There are no interactions.
            NoOverlapError: One of the policies takes none of the logged actions (snips).
            LevelError: The level is not between 0 and 1.
        """
        check_level(level)
        if self.gathering.n == 0:
            raise EmptySampleError
        try:
            return make_estimate(self._evidence(), self.settings, level)
        except ZeroDivisionError:
            raise NoOverlapError(self.gathering.n) from None

    def _evidence(self) -> Evidence:
        width = len(self.estimator.columns)
        means = [self.gathering.moments.mean(index) for index in range(2 * width)]
        candidate, baseline = means[:width], means[width:]
        return Evidence(
            value=self._value(means),
            gradient=[
                *self.estimator.gradient(candidate),
                *(-part for part in self.estimator.gradient(baseline)),
            ],
            gathering=self.gathering,
            places=range(2 * width),
            value_of=cast("Any", self._value),
            method=f"paired difference: {self.estimator.method}",
            range=self._range(),
            seen=(self.settings.bounds, self.heaviest),
            bounded=self._bounded,
            bets=self.bets,
        )

    def _value(self, means: Sequence[Fraction]) -> Fraction:
        width = len(self.estimator.columns)
        return self.estimator.value(means[:width]) - self.estimator.value(means[width:])

    def _range(self) -> Bounds:
        """What a difference keeps."""
        bounds = self.settings.bounds
        return Bounds(bounds.low - bounds.high, bounds.high - bounds.low)

    def _centred(self, candidate: Sample, baseline: Sample) -> Floats:
        """(w_c - w_b) (r - c), whose mean is the difference since weights have mean 1."""
        bounds = self.settings.bounds
        centre = bounds.low / 2 + bounds.high / 2
        return (candidate.weight - baseline.weight) * (candidate.reward - centre)


_PAIRED: dict[str, type[ColumnEstimator]] = {one.name: one for one in (Ips, Snips, Dm, Dr, Sndr)}
"""Those that choose nothing from the data: both policies must be judged alike."""


def make_paired(name: str, settings: IntervalSettings = DEFAULT_INTERVALS) -> PairedDifference:
    """A new comparison, by the name of the estimator it pairs; see `PairedDifference`.

    Raises:
        UnknownEstimatorError: That estimator has no paired form.
    """
    if name not in _PAIRED:
        raise UnknownEstimatorError(name, tuple(_PAIRED))
    return PairedDifference(_PAIRED[name](), settings)
