"""The difference of two policies on the same interactions, with an interval of its own."""

from fractions import Fraction

import numpy as np

from replay.errors import (
    EmptySampleError,
    MergeError,
    NoOverlapError,
    UnknownEstimatorError,
    UnpairedError,
)
from replay.estimate import DEFAULT_LEVEL, Estimate, Found, delta_estimate
from replay.estimators import ColumnEstimator, Dm, Dr, Ips, Sndr, Snips
from replay.moments import Moments
from replay.sample import Sample


class PairedDifference:
    """Value of a candidate policy minus that of a baseline, on one log.

    Both estimates rest on the same customers and the same luck, which cancels in the difference:
    its interval is narrower than two separate ones suggest, and a policy compared with itself
    differs by exactly 0 with an interval of no width.

    The variance is the delta method's on the joint means of both policies' columns. For `snips`
    that is the sum of (w_c (r - V_c) / mean(w_c) - w_b (r - V_b) / mean(w_b))^2 / (n (n - 1)).
    """

    def __init__(self, estimator: ColumnEstimator) -> None:
        self.estimator = estimator
        self.moments = Moments(2 * len(estimator.columns))

    @property
    def name(self) -> str:
        """The estimator that it pairs."""
        return self.estimator.name

    def add(self, candidate: Sample, baseline: Sample) -> None:
        """Take in a chunk of interactions, once with each policy's probabilities.

        The logging policy itself is a baseline whose p_target is p_log.

        Raises:
            UnpairedError: The two differ in their rewards or their logged probabilities.
        """
        for column in ("reward", "p_log"):
            if not np.array_equal(getattr(candidate, column), getattr(baseline, column)):
                raise UnpairedError(column)
        columns = self.estimator.columns
        self.moments.add(*(one.of(sample) for sample in (candidate, baseline) for one in columns))

    def merge(self, other: "PairedDifference") -> None:
        """Take in what another comparison of the same form has seen.

        Raises:
            MergeError: The other one pairs another estimator.
        """
        if other.name != self.name:
            raise MergeError(self.name, other.name)
        self.moments.merge(other.moments)

    def estimate(self, level: float = DEFAULT_LEVEL) -> Estimate:
        """Candidate minus baseline for one decision, and its confidence interval.

        Raises:
            EmptySampleError: There are no interactions.
            NoOverlapError: One of the policies takes none of the logged actions (snips).
            LevelError: The level is not between 0 and 1.
        """
        if self.moments.n == 0:
            raise EmptySampleError
        try:
            return delta_estimate(self._found(), level)
        except ZeroDivisionError:
            raise NoOverlapError(self.moments.n) from None

    def _found(self) -> Found:
        width, n = len(self.estimator.columns), self.moments.n
        means = [self.moments.mean(index) for index in range(2 * width)]
        candidate, baseline = means[:width], means[width:]
        value = self.estimator.value(candidate) - self.estimator.value(baseline)
        gradient = [
            *self.estimator.gradient(candidate),
            *(-part for part in self.estimator.gradient(baseline)),
        ]
        variance = self.moments.variance_of_mean(gradient) if n > 1 else Fraction(0)
        return Found(value, variance, n, f"paired difference: {self.estimator.method}")


_PAIRED: dict[str, type[ColumnEstimator]] = {one.name: one for one in (Ips, Snips, Dm, Dr, Sndr)}
"""Those that choose nothing from the data: both policies must be judged alike."""


def make_paired(name: str) -> PairedDifference:
    """A new comparison, by the name of the estimator it pairs.

    Raises:
        UnknownEstimatorError: That estimator has no paired form.
    """
    if name not in _PAIRED:
        raise UnknownEstimatorError(name, tuple(_PAIRED))
    return PairedDifference(_PAIRED[name]())
