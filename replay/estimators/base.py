"""The interface of an estimator, and the form that most take: a smooth function of means."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import ClassVar

from replay.columns import WEIGHT
from replay.errors import EmptySampleError, NoOverlapError
from replay.estimate import DEFAULT_LEVEL, NO_BOUNDS, Bounds, Estimate, Found, delta_estimate
from replay.intervals.spread import freedom
from replay.statistics import Column, Part, Statistics, all_pairs


class Estimator(ABC):
    """Estimates the value of a target policy from interactions of a logging policy.

    It holds no data: it says what has to be gathered, and what follows from it.
    """

    name: str
    """The name by which contracts know it."""
    needs: ClassVar[tuple[str, ...]] = ()
    """The optional columns of `Sample` that it cannot do without."""
    method: str
    """How value and interval are made, in words."""
    weight: ClassVar[Column] = WEIGHT
    """What it weighs rows by, which a verdict looks at."""
    weights_on_the_way: ClassVar[Mapping[str, Column]] = {}
    """By name, other weights that some of its terms have: a verdict looks at them as well."""
    parts: tuple[type[Part], ...] = ()
    """Statistics that it needs beside moments."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns whose moments it needs; always the same ones."""
        return ()

    @property
    def pairs(self) -> tuple[tuple[Column, Column], ...]:
        """The columns whose joint second moments it needs."""
        return all_pairs(self.columns)

    def statistics(self) -> Statistics:
        """What it needs, of no rows yet."""
        return Statistics([self])

    def estimate(
        self, statistics: Statistics, level: float = DEFAULT_LEVEL, bounds: Bounds = NO_BOUNDS
    ) -> Estimate:
        """Value for one decision and its confidence interval, by the delta method.

        Raises:
            EmptySampleError: There are no interactions.
            NoOverlapError: No logged action says anything about the target policy.
            LevelError: The level is not between 0 and 1.
        """
        return delta_estimate(self.found(statistics), level, bounds)

    def found(self, statistics: Statistics) -> Found:
        """Value and variance.

        Raises:
            EmptySampleError: There are no interactions.
            NoOverlapError: No logged action says anything about the target policy.
        """
        if statistics.n == 0:
            raise EmptySampleError
        try:
            return self._found(statistics)
        except ZeroDivisionError:
            raise NoOverlapError(statistics.n) from None

    @abstractmethod
    def _found(self, statistics: Statistics) -> Found:
        """Value and variance of at least one row; divides by zero where nothing overlaps."""


class AdaptiveEstimator(Estimator):
    """Comes down to a smooth function of means once it has chosen something from the data.

    Whoever builds intervals works with these: after `settled(statistics)` every choice is made, and
    `columns`, `value` and `gradient` are all there is to know.
    """

    @abstractmethod
    def settled(self, statistics: Statistics) -> "ColumnEstimator":
        """This estimator with everything chosen; its columns are among those of this one."""

    def _found(self, statistics: Statistics) -> Found:
        one = self.settled(statistics)
        means = statistics.means(one.columns)
        value, gradient, n = one.value(means), one.gradient(means), statistics.n
        variance = statistics.variance(one.columns, gradient) if n > 1 else Fraction(0)
        left, growth = freedom(n, one.fitted)
        return Found(value, variance * growth, left, one.method, one.parameters)


class ColumnEstimator(AdaptiveEstimator):
    """A smooth function of the means of a few columns."""

    fitted: int = 0
    """Factors that were fitted to the same rows: degrees of freedom that their spread lacks."""

    def settled(self, statistics: Statistics) -> "ColumnEstimator":  # noqa: ARG002 - nothing to choose
        """Itself."""
        return self

    @property
    def parameters(self) -> Mapping[str, float]:
        """What it chose, by name."""
        return {}

    @abstractmethod
    def value(self, means: Sequence[Fraction]) -> Fraction:
        """The value at the means of the columns: arithmetic alone, right for floats as well.

        Raises:
            ZeroDivisionError: Nothing overlaps.
        """

    @abstractmethod
    def gradient(self, means: Sequence[Fraction]) -> tuple[Fraction, ...]:
        """The value's derivative by each mean."""


class MeanEstimator(ColumnEstimator):
    """The mean of one score an interaction."""

    score: Column
    """The score."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The score alone."""
        return (self.score,)

    def value(self, means: Sequence[Fraction]) -> Fraction:
        """The mean."""
        return means[0]

    def gradient(self, means: Sequence[Fraction]) -> tuple[Fraction, ...]:  # noqa: ARG002 - constant
        """One."""
        return (Fraction(1),)
