"""An evaluation of a target policy: chosen estimators and diagnostics over one stream of rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from replay.columns import WEIGHT
from replay.diagnostics import Diagnosis, Diagnostics
from replay.errors import EmptyTableError, MergeError, NoEstimateError
from replay.estimate import DEFAULT_LEVEL, Bounds, Estimate, estimate_json, finite
from replay.estimators import choose_estimators, make_estimators
from replay.intervals.declared import check_declared
from replay.intervals.estimators import EstimatorIntervals
from replay.intervals.quantiles import check_level
from replay.intervals.settings import DEFAULT_INTERVALS, IntervalSettings, Keep, Method
from replay.sample import Sample
from replay.table_reading import OnProgress, gather
from replay.tables import REQUIRED, open_table
from replay.verdict import Finding, Verdict, WeightSummary, findings_of, worst_first

DEFAULT_ESTIMATORS = choose_estimators(None, ())
"""What every log allows: no reward model needed."""


@dataclass(frozen=True, slots=True)
class UsedIntervals:
    """How intervals were made."""

    settings: IntervalSettings = DEFAULT_INTERVALS
    units: int = 0
    """What they count as independent: subjects, or rows."""

    def to_json(self) -> dict[str, Any]:
        """As the contract of `sendwise evaluate` states it."""
        return {
            "method": self.settings.method.value,
            "clustered": bool(self.settings.clustered),
            "units": self.units,
        }


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """What an evaluation found."""

    level: float
    """Confidence level of the intervals."""
    estimates: Mapping[str, Estimate | None]
    """By estimator name; None where the data allow no number at all."""
    diagnosis: Diagnosis
    intervals: UsedIntervals = UsedIntervals()
    weights: Mapping[str, WeightSummary] = field(default_factory=dict)
    """Weights of the estimators that weigh rows by others than those of the diagnosis, by name."""

    @property
    def n(self) -> int:
        """Interactions evaluated."""
        return self.diagnosis.summary.n

    @property
    def verdict(self) -> Verdict:
        """Whether the estimates may be used."""
        return self.diagnosis.verdict

    def headline(self, name: str) -> Estimate | None:
        """An estimate fit to be shown: None where it was refused or there is none."""
        return None if self.verdict is Verdict.REFUSE else self.estimates[name]

    def weights_of(self, name: str) -> WeightSummary:
        """What an estimator weighs rows by."""
        return self.weights.get(name, self.diagnosis.summary)

    def to_json(self) -> dict[str, Any]:
        """The result as the contract of `sendwise evaluate` states it.

        Numbers stand beside the verdict whatever it is; what is infinite or undefined is null.
        """
        diagnostics = _numbers(self.diagnosis.summary)
        others = {name: _numbers(summary) for name, summary in self.weights.items()}
        return {
            "n": diagnostics.pop("n"),
            "level": self.level,
            "intervals": self.intervals.to_json(),
            "estimates": {name: estimate_json(found) for name, found in self.estimates.items()},
            "diagnostics": diagnostics,
            **({"weights": others} if others else {}),
            "verdict": self.verdict.value,
            "reasons": list(self.diagnosis.reasons),
        }


def _numbers(summary: WeightSummary) -> dict[str, float | None]:
    return {name: finite(value) for name, value in asdict(summary).items()}


class Evaluation:
    """Runs estimators and diagnostics over chunks; parts made anywhere merge exactly."""

    def __init__(
        self,
        estimators: Sequence[str] = DEFAULT_ESTIMATORS,
        intervals: IntervalSettings = DEFAULT_INTERVALS,
    ) -> None:
        self.intervals = EstimatorIntervals(make_estimators(estimators), intervals)
        weights = dict.fromkeys(
            weight
            for one in self.intervals.estimators.values()
            for weight in (one.weight, *one.weights_on_the_way.values())
        )
        # The usual weight first, if an estimator has it: the diagnosis is of the first one.
        ordered = sorted(weights, key=lambda weight: weight != WEIGHT) or [WEIGHT]
        self.diagnostics = {weight: Diagnostics(weight) for weight in ordered}

    @property
    def n(self) -> int:
        """Interactions taken in so far."""
        return self._first.n

    @property
    def _first(self) -> Diagnostics:
        return next(iter(self.diagnostics.values()))

    def add(self, sample: Sample) -> None:
        """Take in a chunk of interactions.

        Raises:
            SampleError: A chosen estimator cannot use the sample, or a reward is out of bounds.
        """
        for estimator in self.intervals.estimators.values():
            for column in estimator.needs:
                sample.require(column, estimator.name)
        check_declared(sample, self.intervals.settings)
        self.intervals.add(sample)
        for diagnostics in self.diagnostics.values():
            diagnostics.add(sample)

    def merge(self, other: "Evaluation") -> None:
        """Take in the rows that come after these, from an evaluation with the same estimators.

        Order matters to those intervals alone that look at it: sequences, and bootstraps of rows.

        Raises:
            MergeError: The other one has other estimators or intervals.
        """
        if (mine := self.settings()) != (others := other.settings()):
            raise MergeError(mine, others)
        self.intervals.merge(other.intervals)
        for weight, diagnostics in self.diagnostics.items():
            diagnostics.merge(other.diagnostics[weight])

    def settings(self) -> str:
        """What it was made for; only evaluations that agree in it can be merged."""
        return f"{', '.join(self.intervals.estimators)} with {self.intervals.settings}"

    def result(self, level: float = DEFAULT_LEVEL) -> EvaluationResult:
        """What all rows so far say; of no rows it is a refusal without numbers.

        Raises:
            LevelError: The level is not between 0 and 1.
        """
        check_level(level)
        estimates = {name: self._estimate(name, level) for name in self.intervals.estimators}
        made = self.intervals
        used = UsedIntervals(made.settings, made.units)
        weights = dict(self._other_weights())
        return EvaluationResult(level, estimates, self._diagnosis(weights), used, weights)

    def _other_weights(self) -> Iterator[tuple[str, WeightSummary]]:
        """Of each estimator that weighs rows otherwise than the first one."""
        for name, estimator in self.intervals.estimators.items():
            for label, weight in {name: estimator.weight, **estimator.weights_on_the_way}.items():
                found = self.diagnostics[weight]
                if found is not self._first:
                    yield label, found.summary()

    def _diagnosis(self, others: Mapping[str, WeightSummary]) -> Diagnosis:
        """The gravest of what all weights say."""
        found = self._first.result()
        more = [
            Finding(one.verdict, f"by the weights of {name}, {one.reason}")
            for name, summary in others.items()
            for one in findings_of(summary)
        ]
        return Diagnosis(found.summary, *worst_first(found.verdict, found.reasons, more))

    def _estimate(self, name: str, level: float) -> Estimate | None:
        """The estimate; None where there can be none, which the diagnosis explains."""
        try:
            return self.intervals.estimate(name, level, self._seen())
        except NoEstimateError:
            return None

    def _seen(self) -> Bounds:
        """Smallest and largest reward of the rows with weight."""
        found = self._first
        return Bounds(found.reward_low, found.reward_high) if found.max_weight else Bounds(0.0, 0.0)


def evaluate_table(  # noqa: PLR0913 - what callers may leave out has a name
    path: Path,
    estimators: Sequence[str] | None = None,
    on_progress: OnProgress | None = None,
    *,
    level: float = DEFAULT_LEVEL,
    intervals: IntervalSettings = DEFAULT_INTERVALS,
    processes: int | None = None,
) -> EvaluationResult:
    """Evaluate the policy that a table describes, in one pass and bounded memory.

    Args:
        path: A Parquet or CSV file, or a directory of them, with the columns of `Sample`.
        estimators: Names; `all` for every one whose columns the table has, None for the usual.
        on_progress: Called as the rows are read.
        level: Confidence level of the intervals.
        intervals: Which ones, and what is declared for them; clustered if the table has a column
            `subject`, unless they say otherwise.
        processes: At most so many read a large table; one a core if None. The result is the same
            for any number.

    Raises:
        TableError: The table is absent, unreadable, empty, or breaks a rule; it names file, row
            and column.
        SettingError: An estimator's name or the level makes no sense.
    """
    table = open_table(path)
    names = choose_estimators(estimators, table.columns)
    chosen = intervals.known(has_subjects=table.has_subjects)
    needed = _needed_columns(names, by_subject=chosen.keep is Keep.SUBJECTS)
    parts = list(table.parts(needed))
    # A sequence predicts each row from those before it: one process reads them all.
    most = 1 if chosen.method is Method.SEQUENCE else processes
    evaluation = gather(parts, Evaluation(names, chosen), most, on_progress)
    if evaluation.n == 0:
        raise EmptyTableError(path)
    return evaluation.result(level)


def _needed_columns(names: Sequence[str], *, by_subject: bool) -> dict[str, str]:
    """Every column to be read, with what needs it."""
    needed = dict.fromkeys(REQUIRED, "every evaluation")
    if by_subject:
        needed["subject"] = "an interval by subject (--no-cluster does without)"
    for estimator in make_estimators(names):
        for column in estimator.needs:
            needed.setdefault(column, estimator.name)
    return needed
