"""What the importance weights say about an evaluation, gathered as the rows pass."""

import math
from dataclasses import dataclass
from fractions import Fraction

from replay.moments import Moments
from replay.sample import Sample
from replay.sums import exact_sum
from replay.verdict import Verdict, WeightSummary, judge


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A summary of the weights and what it means."""

    summary: WeightSummary
    verdict: Verdict
    reasons: tuple[str, ...]
    """Why not `ok`, gravest first; empty if all is well."""


class Diagnostics:
    """Gathers what a verdict needs; exact, so that chunks and processes merge without a trace."""

    def __init__(self) -> None:
        self.weights = Moments(1)
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
        self.weights.add(sample.weight)
        self.max_weight = max(self.max_weight, float(sample.weight.max()))
        counted = sample.reward[sample.weight > 0]
        self._widen(float(counted.min(initial=math.inf)), float(counted.max(initial=-math.inf)))
        if sample.p_unsupported is not None:
            self.unsupported += exact_sum(sample.p_unsupported)
            self.unsupported_rows += len(sample)

    def merge(self, other: "Diagnostics") -> None:
        """Take in what another one has seen."""
        self.weights.merge(other.weights)
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
        )

    def _mean_and_error(self) -> tuple[Fraction, float]:
        """Mean weight and its standard error; zero and infinite where rows are too few."""
        n = self.weights.n
        mean = self.weights.mean(0) if n else Fraction(0)
        variance = self.weights.variance_of_mean((Fraction(1),)) if n > 1 else math.inf
        return mean, math.sqrt(variance)

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
