"""The difference of two policies on the same interactions, with an interval of its own."""

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import ClassVar, Self

import numpy as np

from replay.errors import EmptySampleError, MergeError, UnknownEstimatorError, UnpairedError
from replay.estimate import DEFAULT_LEVEL, Estimate, delta_estimate
from replay.estimators.base import ratio_gradient, ratio_of_means
from replay.moments import Moments
from replay.sample import Sample
from replay.sums import Floats


class PairedDifference(ABC):
    """Value of a candidate policy minus that of a baseline, on one log.

    Both estimates rest on the same customers and the same luck, which cancels in the difference:
    its interval is narrower than two separate ones suggest, and a policy compared with itself
    differs by exactly 0 with an interval of no width.
    """

    name: ClassVar[str]
    width: ClassVar[int]

    def __init__(self) -> None:
        self.moments = Moments(self.width)

    def add(self, candidate: Sample, baseline: Sample) -> None:
        """Take in a chunk of interactions, once with each policy's probabilities.

        The logging policy itself is a baseline whose p_target is p_log.

        Raises:
            UnpairedError: The two differ in their rewards or their logged probabilities.
        """
        for column in ("reward", "p_log"):
            if not np.array_equal(getattr(candidate, column), getattr(baseline, column)):
                raise UnpairedError(column)
        self.moments.add(*self.columns(candidate, baseline))

    def merge(self, other: Self) -> None:
        """Take in what another comparison of the same form has seen.

        Raises:
            MergeError: The other one is of another form.
        """
        if type(other) is not type(self):
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
        return self._estimate(level)

    @abstractmethod
    def columns(self, candidate: Sample, baseline: Sample) -> tuple[Floats, ...]:
        """The columns whose joint moments are kept."""

    @abstractmethod
    def _estimate(self, level: float) -> Estimate: ...


class PairedIps(PairedDifference):
    """Difference by inverse propensity scoring: the mean of (w_c - w_b) * r, Student's t."""

    name = "ips"
    width = 1

    def columns(self, candidate: Sample, baseline: Sample) -> tuple[Floats, ...]:
        """Difference of the weighted rewards."""
        return (candidate.weighted_reward - baseline.weighted_reward,)

    def _estimate(self, level: float) -> Estimate:
        return delta_estimate(
            moments=self.moments,
            value=self.moments.mean(0),
            gradient=(Fraction(1),),
            level=level,
            method="mean paired difference; Student's t, rows independent",
        )


class PairedSnips(PairedDifference):
    """Difference of two weighted means, by the delta method on the four joint means.

    Var = sum of (w_c (r - V_c) / mean(w_c) - w_b (r - V_b) / mean(w_b))^2 / (n (n - 1)).
    """

    name = "snips"
    width = 4

    def columns(self, candidate: Sample, baseline: Sample) -> tuple[Floats, ...]:
        """Weighted reward and weight, of the candidate and of the baseline."""
        return (
            candidate.weighted_reward,
            candidate.weight,
            baseline.weighted_reward,
            baseline.weight,
        )

    def _estimate(self, level: float) -> Estimate:
        candidate = ratio_of_means(self.moments, 0, 1)
        baseline = ratio_of_means(self.moments, 2, 3)
        minus = ratio_gradient(self.moments, baseline, 3)
        return delta_estimate(
            moments=self.moments,
            value=candidate - baseline,
            gradient=(*ratio_gradient(self.moments, candidate, 1), *(-part for part in minus)),
            level=level,
            method="difference of weighted means; joint delta method with Student's t",
        )


_FORMS: dict[str, type[PairedDifference]] = {kind.name: kind for kind in (PairedIps, PairedSnips)}


def make_paired(name: str) -> PairedDifference:
    """A new comparison, by the name of the estimator it pairs.

    Raises:
        UnknownEstimatorError: That estimator has no paired form.
    """
    if name not in _FORMS:
        raise UnknownEstimatorError(name, tuple(_FORMS))
    return _FORMS[name]()
