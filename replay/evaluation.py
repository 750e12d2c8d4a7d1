"""An evaluation of a target policy: chosen estimators and diagnostics over one stream of rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from replay.diagnostics import Diagnosis, Diagnostics
from replay.errors import BadValueError, EmptyTableError, MergeError, NoEstimateError
from replay.estimate import DEFAULT_LEVEL, NO_BOUNDS, Bounds, Estimate
from replay.estimators import Estimator, choose_estimators, make_estimators
from replay.sample import Sample
from replay.statistics import Statistics
from replay.table_reading import OnProgress, gather
from replay.tables import REQUIRED, open_table
from replay.verdict import Verdict

DEFAULT_ESTIMATORS = ("ips", "snips")
"""What every log allows: no reward model needed."""

WITH_REWARD_MODEL = (*DEFAULT_ESTIMATORS, "dm", "dr")
"""What is shown where there is a reward model."""


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """What an evaluation found."""

    level: float
    """Confidence level of the intervals."""
    estimates: Mapping[str, Estimate | None]
    """By estimator name; None where the data allow no number at all."""
    diagnosis: Diagnosis

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

    def to_json(self) -> dict[str, Any]:
        """The result as the contract of `sendwise evaluate` states it.

        Numbers stand beside the verdict whatever it is; what is infinite or undefined is null.
        """
        diagnostics = {
            name: _finite(value) for name, value in asdict(self.diagnosis.summary).items()
        }
        return {
            "n": diagnostics.pop("n"),
            "level": self.level,
            "estimates": {name: estimate_json(found) for name, found in self.estimates.items()},
            "diagnostics": diagnostics,
            "verdict": self.verdict.value,
            "reasons": list(self.diagnosis.reasons),
        }


class Evaluation:
    """Runs estimators and diagnostics over chunks; parts made anywhere merge exactly."""

    def __init__(
        self, estimators: Sequence[str] = DEFAULT_ESTIMATORS, bounds: Bounds = NO_BOUNDS
    ) -> None:
        self.estimators = {one.name: one for one in make_estimators(estimators)}
        self.bounds = bounds
        self.statistics = Statistics(list(self.estimators.values()))
        self.diagnostics = Diagnostics()

    @property
    def n(self) -> int:
        """Interactions taken in so far."""
        return self.diagnostics.n

    def add(self, sample: Sample) -> None:
        """Take in a chunk of interactions.

        Raises:
            SampleError: A chosen estimator cannot use the sample, or a reward is out of bounds.
        """
        for estimator in self.estimators.values():
            for column in estimator.needs:
                sample.require(column, estimator.name)
        _check_bounds(sample, self.bounds)
        self.statistics.add(sample)
        self.diagnostics.add(sample)

    def merge(self, other: "Evaluation") -> None:
        """Take in what another evaluation with the same estimators has seen.

        Raises:
            MergeError: The other one has other estimators or bounds.
        """
        if (mine := self.settings()) != (others := other.settings()):
            raise MergeError(mine, others)
        self.statistics.merge(other.statistics)
        self.diagnostics.merge(other.diagnostics)

    def settings(self) -> str:
        """What it was made for; only evaluations that agree in it can be merged."""
        return f"{', '.join(self.estimators)} within {self.bounds}"

    def result(self, level: float = DEFAULT_LEVEL) -> EvaluationResult:
        """What all rows so far say; of no rows it is a refusal without numbers.

        Raises:
            LevelError: The level is not between 0 and 1.
        """
        estimates = {name: self._estimate(one, level) for name, one in self.estimators.items()}
        return EvaluationResult(level, estimates, self.diagnostics.result())

    def _estimate(self, estimator: Estimator, level: float) -> Estimate | None:
        """The estimate; None where there can be none, which the diagnosis explains."""
        try:
            return estimator.estimate(self.statistics, level, self.bounds)
        except NoEstimateError:
            return None


def evaluate_table(  # noqa: PLR0913 - what callers may leave out has a name
    path: Path,
    estimators: Sequence[str] | None = None,
    on_progress: OnProgress | None = None,
    *,
    level: float = DEFAULT_LEVEL,
    bounds: Bounds = NO_BOUNDS,
    processes: int | None = None,
) -> EvaluationResult:
    """Evaluate the policy that a table describes, in one pass and bounded memory.

    Args:
        path: A Parquet or CSV file, or a directory of them, with the columns of `Sample`.
        estimators: Names; `all` for every one whose columns the table has, None for the usual.
        on_progress: Called as the rows are read.
        level: Confidence level of the intervals.
        bounds: What every reward is known to keep.
        processes: At most so many read a large table; one a core if None. The result is the same
            for any number.

    Raises:
        TableError: The table is absent, unreadable, empty, or breaks a rule; it names file, row
            and column.
        SettingError: An estimator's name or the level makes no sense.
    """
    table = open_table(path)
    names = choose_estimators(estimators, table.columns)
    parts = list(table.parts(_needed_columns(names)))
    evaluation = gather(parts, Evaluation(names, bounds), processes, on_progress)
    if evaluation.n == 0:
        raise EmptyTableError(path)
    return evaluation.result(level)


def _needed_columns(names: Sequence[str]) -> dict[str, str]:
    """Every column to be read, with what needs it."""
    needed = dict.fromkeys(REQUIRED, "every evaluation")
    for estimator in make_estimators(names):
        for column in estimator.needs:
            needed.setdefault(column, estimator.name)
    return needed


def _check_bounds(sample: Sample, bounds: Bounds) -> None:
    """Declared bounds are promises: a reward that breaks them is an error, not an outlier."""
    if bounds == NO_BOUNDS:
        return
    outside = (sample.reward < bounds.low) | (sample.reward > bounds.high)
    if outside.any():
        index = int(outside.argmax())
        rule = f"lies outside the declared bounds from {bounds.low} to {bounds.high}"
        raise BadValueError(sample.first_row + index, "reward", float(sample.reward[index]), rule)


def estimate_json(estimate: Estimate | None) -> dict[str, Any]:
    """An estimate as contracts state it; what is infinite, or not there, is null."""
    if estimate is None:
        return {"value": None, "interval": [None, None], "method": "the data allow no estimate"}
    low, high = estimate.interval
    chosen = {name: _finite(value) for name, value in estimate.parameters.items()}
    return {
        "value": estimate.value,
        "interval": [_finite(low), _finite(high)],
        "method": estimate.method,
        **({"parameters": chosen} if chosen else {}),
    }


def _finite(value: float | None) -> float | None:
    """JSON knows neither infinity nor NaN."""
    return value if value is not None and math.isfinite(value) else None
