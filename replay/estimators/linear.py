"""Means added up with factors that were chosen from the data."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from replay.estimators.base import ColumnEstimator
from replay.statistics import Column


class Linear(ColumnEstimator):
    """A constant plus a weighted sum of means."""

    def __init__(
        self,
        chooser: tuple[str, str],
        terms: Mapping[Column, Fraction],
        constant: Fraction,
        parameters: Mapping[str, float],
        fitted: int = 0,
    ) -> None:
        """One estimator's choice.

        Args:
            chooser: Name and method of the estimator that chose.
            terms: The factor of each column's mean.
            constant: What is added.
            parameters: What was chosen, for the reader.
            fitted: How many factors were fitted to the same rows.
        """
        self.name, self.method = chooser
        self._terms = dict(terms)
        self._constant = constant
        self._parameters = dict(parameters)
        self.fitted = fitted

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns whose means are added."""
        return tuple(self._terms)

    @property
    def parameters(self) -> Mapping[str, float]:
        """What was chosen."""
        return self._parameters

    def value(self, means: Sequence[Fraction]) -> Fraction:
        """The sum."""
        factors = self._terms.values()
        return sum((f * m for f, m in zip(factors, means, strict=True)), self._constant)

    def gradient(self, means: Sequence[Fraction]) -> tuple[Fraction, ...]:  # noqa: ARG002 - constant
        """The factors."""
        return tuple(self._terms.values())
