"""What estimators rest on, gathered in one pass: joint moments of columns, and special parts."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement
from typing import Protocol, Self, TypeVar

from replay.errors import MergeError
from replay.gathering import Gathering
from replay.intervals.settings import Keep
from replay.moments import Moments
from replay.sample import Sample
from replay.sums import Floats


@dataclass(frozen=True)
class Column(ABC):
    """A number that each interaction has; two of one class and equal fields are the same column."""

    @abstractmethod
    def of(self, sample: Sample) -> Floats:
        """The column's values, shape (n,).

        Raises:
            MissingColumnError: The sample lacks what it is made from.
        """


class Part(ABC):
    """Statistics other than moments of columns, which merge to 1e-12 in any order and split."""

    @abstractmethod
    def add(self, sample: Sample) -> None:
        """Take in a chunk of interactions."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Take in what another one has seen."""


P = TypeVar("P", bound=Part)


class Gathers(Protocol):
    """Whoever says what must be gathered: every estimator does."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns whose means are needed."""

    @property
    def pairs(self) -> Iterable[tuple[Column, Column]]:
        """Columns whose joint second moments are needed."""

    @property
    def parts(self) -> tuple[type[Part], ...]:
        """Other statistics."""


class Statistics:
    """Everything that some estimators need of the rows so far, each column computed once.

    Moments are exact; chunks and processes merge without a trace. `n` is the number of rows.
    """

    def __init__(self, wanted: Sequence[Gathers], keep: Keep = Keep.NOTHING) -> None:
        columns = dict.fromkeys(column for one in wanted for column in one.columns)
        self.places = {column: place for place, column in enumerate(columns)}
        pairs = {self._pair(a, b) for one in wanted for a, b in one.pairs}
        self.gathering = Gathering(len(columns), keep, pairs)
        self.parts = {kind: kind() for one in wanted for kind in one.parts}
        self.n = 0

    @property
    def moments(self) -> Moments:
        """Moments of all columns, by their places."""
        return self.gathering.moments

    def add(self, sample: Sample) -> None:
        """Take in a chunk of interactions.

        Raises:
            MissingColumnError: The sample lacks what a column is made from, or its subjects.
        """
        self.gathering.add(sample.subject, *(column.of(sample) for column in self.places))
        for part in self.parts.values():
            part.add(sample)
        self.n += len(sample)

    def merge(self, other: "Statistics") -> None:
        """Take in what another one has seen.

        Raises:
            MergeError: The other one was made for other estimators.
        """
        if other.places != self.places or other.parts.keys() != self.parts.keys():
            raise MergeError(str([*self.places]), str([*other.places]))
        self.gathering.merge(other.gathering)
        for kind, part in self.parts.items():
            part.merge(other.parts[kind])
        self.n += other.n

    def part(self, kind: type[P]) -> P:
        """The statistics of a kind that was asked for."""
        found = self.parts[kind]
        assert isinstance(found, kind)  # noqa: S101 - tells mypy what the dictionary holds
        return found

    def total(self, column: Column) -> Fraction:
        """Sum of a column."""
        return self.moments.total(self.places[column])

    def means(self, columns: Iterable[Column]) -> tuple[Fraction, ...]:
        """Means of columns; needs a row."""
        return tuple(self.moments.mean(self.places[column]) for column in columns)

    def covariance(self, one: Column, other: Column) -> Fraction:
        """Unbiased sample covariance of a pair that was asked for; needs two rows."""
        return self.moments.covariance(self.places[one], self.places[other])

    def variance(self, columns: Iterable[Column], weights: Sequence[Fraction]) -> Fraction:
        """Variance of the weighted sum of columns' means, never negative; needs two rows."""
        return self.moments.variance_of_mean(weights, [self.places[one] for one in columns])

    def _pair(self, one: Column, other: Column) -> tuple[int, int]:
        first, second = sorted((self.places[one], self.places[other]))
        return first, second


def all_pairs(columns: Sequence[Column]) -> tuple[tuple[Column, Column], ...]:
    """Every column with itself and with each other."""
    return tuple(combinations_with_replacement(columns, 2))
