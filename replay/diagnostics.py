"""What the importance weights say about an evaluation, gathered as the rows pass."""

import math
from dataclasses import dataclass
from fractions import Fraction

from replay.columns import WEIGHT
from replay.moments import Moments
from replay.sample import Sample
from replay.statistics import Column
from replay.sums import exact_sum
from replay.verdict import Verdict, WeightSummary, judge

_ROUNDING = 2.0**-51
"""Relative rounding of a product of three, twice over."""
_FAR = 1e100
"""Ratios are cut off here, so that their cubes stay within float64."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A summary of the weights and what it means."""

    summary: WeightSummary
    verdict: Verdict
    reasons: tuple[str, ...]
    """Why not `ok`, gravest first; empty if all is well."""


class Diagnostics:
    """Gathers what a verdict needs; exact, so that chunks and processes merge without a trace."""

    def __init__(self, weight: Column = WEIGHT) -> None:
        """Of nothing yet.

        Args:
            weight: What rows weigh: the column that an estimator multiplies rewards by.
        """
        self.weight = weight
        self.weights = Moments(1, triples=[(0, 0, 0)])
        self.rewards = Moments(1, triples=[(0, 0, 0)])
        """Of rows with weight."""
        self.max_weight = 0.0
        self.reward_low = math.inf
        self.reward_high = -math.inf
        self.unsupported = Fraction(0)
        self.unsupported_rows = 0

    @property
    def n(self) -> int:
        """Interactions taken in so far."""
        return self.weights.n

    def add(self, sample: Sample) -> None:
        """Take in a chunk of interactions."""
        if len(sample) == 0:
            return
        weight = self.weight.of(sample)
        self.weights.add(weight)
        self.max_weight = max(self.max_weight, float(weight.max()))
        counted = sample.reward[weight > 0]
        self.rewards.add(counted)
        self._widen(float(counted.min(initial=math.inf)), float(counted.max(initial=-math.inf)))
        if sample.p_unsupported is not None:
            self.unsupported += exact_sum(sample.p_unsupported)
            self.unsupported_rows += len(sample)

    def merge(self, other: "Diagnostics") -> None:
        """Take in what another one has seen."""
        self.weights.merge(other.weights)
        self.rewards.merge(other.rewards)
        self.max_weight = max(self.max_weight, other.max_weight)
        self._widen(other.reward_low, other.reward_high)
        self.unsupported += other.unsupported
        self.unsupported_rows += other.unsupported_rows

    def result(self) -> Diagnosis:
        """The diagnosis of all rows so far; of none it is a refusal."""
        summary = self.summary()
        return Diagnosis(summary, *judge(summary))

    def summary(self) -> WeightSummary:
        """The numbers that the rules look at.

        The effective sample size is Kish's, (sum of w)^2 / sum of w^2 (Kish 1965, "Survey
        Sampling"): how many rows of equal weight would tell as much.
        """
        total, squares = self.weights.total(0), self.weights.square_total(0)
        mean, error = self._mean_and_error()
        return WeightSummary(
            n=self.weights.n,
            ess=float(total * total / squares) if squares else 0.0,
            max_weight=self.max_weight,
            max_weight_share=float(Fraction(self.max_weight) / total) if total else 0.0,
            mean_weight=float(mean),
            mean_weight_se=error,
            mean_weight_z=_standard_errors(float(mean - 1), error),
            unsupported=self._unsupported_share(),
            reward_low=self.reward_low,
            reward_high=self.reward_high,
            reward_ess=self._reward_size(),
        )

    def _mean_and_error(self) -> tuple[Fraction, float]:
        """Mean weight and its standard error; zero and infinite where rows are too few."""
        n = self.weights.n
        mean = self.weights.mean(0) if n else Fraction(0)
        variance = self.weights.variance_of_mean((Fraction(1),)) if n > 1 else math.inf
        return mean, math.sqrt(variance)

    def _reward_size(self) -> float | None:
        """Effective number of rewards; None where none differ.

        The inverse square of the skewness of the mean of w (r - V), by which the error of a t
        interval goes (Hall 1992, "The Bootstrap and Edgeworth Expansion", section 2.5): so many
        rare rewards of equal weight lean as much. Weights and rewards are taken as independent,
        (sum of w^2)^3 / (m (sum of w^3)^2) times that of m unweighted rewards: weights show how
        much a rare reward could weigh, while the few that came seldom had such a weight.
        """
        found = self.rewards
        if found.n == 0 or self.reward_low == self.reward_high:
            return None
        skew = max(abs(found.skew_of_mean((Fraction(1),))) - self._skew_noise(), 0.0)
        size = Fraction(min(1 / skew**2, found.n) if skew > found.n**-0.5 else found.n)
        squares, cubes = self.weights.square_total(0), self.weights.cube_total(0)
        return float(size * squares**3 / (found.n * cubes**2)) if cubes else None

    def _skew_noise(self) -> float:
        """What rounded cubes can add to the rewards' skewness, where their mean is far from 0."""
        n = self.rewards.n
        error = math.sqrt(self.rewards.variance_of_mean((Fraction(1),))) if n > 1 else 0.0
        if error == 0:
            return 1.0
        largest = max(abs(self.reward_low), abs(self.reward_high))
        return _ROUNDING * n * min(largest / (error * n), _FAR) ** 3

    def _unsupported_share(self) -> float | None:
        rows = self.unsupported_rows
        return float(self.unsupported / rows) if rows else None

    def _widen(self, low: float, high: float) -> None:
        self.reward_low = min(self.reward_low, low)
        self.reward_high = max(self.reward_high, high)


def _standard_errors(gap: float, error: float) -> float:
    """A gap in standard errors; without any error every gap is infinitely far."""
    if error > 0:
        return gap / error
    return math.copysign(math.inf, gap) if gap else 0.0
