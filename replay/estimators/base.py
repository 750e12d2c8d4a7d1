"""The interface of an estimator, and the two forms that most take: a mean and a ratio of means."""

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import ClassVar, Self

from replay.errors import BadValueError, EmptySampleError, MergeError, NoOverlapError
from replay.estimate import DEFAULT_LEVEL, NO_BOUNDS, Bounds, Estimate, delta_estimate
from replay.moments import Moments
from replay.sample import Sample
from replay.sums import Floats


class Estimator(ABC):
    """Estimates the value of a target policy from interactions of a logging policy.

    It keeps sufficient statistics alone, exactly: chunks and processes merge without a trace.
    """

    name: ClassVar[str]
    """The name by which contracts know it."""
    needs: ClassVar[tuple[str, ...]] = ()
    """The optional columns of `Sample` that it cannot do without."""
    width: ClassVar[int]
    """Number of columns whose moments it keeps."""

    def __init__(self, bounds: Bounds = NO_BOUNDS) -> None:
        self.bounds = bounds
        self.moments = Moments(self.width)

    def add(self, sample: Sample) -> None:
        """Take in a chunk of interactions.

        Raises:
            MissingColumnError: The sample lacks a column that this estimator needs.
            BadValueError: A reward lies outside the declared bounds.
        """
        for column in self.needs:
            sample.require(column, self.name)
        _check_bounds(sample, self.bounds)
        self.moments.add(*self.columns(sample))

    def merge(self, other: Self) -> None:
        """Take in what another estimator of the same kind and bounds has seen.

        Raises:
            MergeError: The other one is of another kind or has other bounds.
        """
        if type(other) is not type(self) or other.bounds != self.bounds:
            raise MergeError(f"{self.name} {self.bounds}", f"{other.name} {other.bounds}")
        self.moments.merge(other.moments)

    def estimate(self, level: float = DEFAULT_LEVEL) -> Estimate:
        """Value for one decision and its confidence interval.

        Raises:
            EmptySampleError: There are no interactions.
            NoOverlapError: No logged action says anything about the target policy.
            LevelError: The level is not between 0 and 1.
        """
        if self.moments.n == 0:
            raise EmptySampleError
        return self._estimate(level)

    @abstractmethod
    def columns(self, sample: Sample) -> tuple[Floats, ...]:
        """The columns of a sample whose moments are kept, `width` arrays of its length."""

    @abstractmethod
    def _estimate(self, level: float) -> Estimate: ...


class MeanEstimator(Estimator):
    """The mean of one score an interaction."""

    width = 1
    method: ClassVar[str]
    """How the interval is made, in words."""

    @abstractmethod
    def score(self, sample: Sample) -> Floats:
        """The score of each interaction, shape (n,)."""

    def columns(self, sample: Sample) -> tuple[Floats, ...]:
        """The score alone."""
        return (self.score(sample),)

    def _estimate(self, level: float) -> Estimate:
        return delta_estimate(
            moments=self.moments,
            value=self.moments.mean(0),
            gradient=(Fraction(1),),
            level=level,
            method=self.method,
            bounds=self.bounds,
        )


def ratio_of_means(moments: Moments, numerator: int, denominator: int) -> Fraction:
    """Ratio of two columns' means, exactly.

    Raises:
        NoOverlapError: The denominator is zero: no weight at all.
    """
    if moments.total(denominator) == 0:
        raise NoOverlapError(moments.n)
    return moments.total(numerator) / moments.total(denominator)


def ratio_gradient(moments: Moments, ratio: Fraction, denominator: int) -> tuple[Fraction, ...]:
    """Derivative of a ratio of means by its numerator and by its denominator."""
    mean = moments.mean(denominator)
    return (1 / mean, -ratio / mean)


def _check_bounds(sample: Sample, bounds: Bounds) -> None:
    """Declared bounds are promises: a reward that breaks them is an error, not an outlier."""
    if bounds == NO_BOUNDS:
        return
    outside = (sample.reward < bounds.low) | (sample.reward > bounds.high)
    if outside.any():
        index = int(outside.argmax())
        rule = f"lies outside the declared bounds from {bounds.low} to {bounds.high}"
        raise BadValueError(sample.first_row + index, "reward", float(sample.reward[index]), rule)
