"""Gathers what a report shows of a table: estimates, weights, and how they run along its rows."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from replay.comparison import Comparison, compared
from replay.estimate import DEFAULT_LEVEL, Estimate
from replay.estimators import HEADLINE, Ips
from replay.evaluation import EvaluationResult, evaluate_table
from replay.formats import Formats
from replay.histogram import WeightHistogram
from replay.intervals.estimators import EstimatorIntervals
from replay.intervals.settings import IntervalSettings
from replay.paired import make_paired
from replay.report_data import PolicyRow, ReportData, Unit
from replay.sample import Sample
from replay.tables import REQUIRED, open_table
from replay.verdict import Verdict

OnShare = Callable[[int, float], None]


def summarise_table(
    path: Path, generated_at: datetime, on_progress: OnShare | None = None
) -> ReportData:
    """Reads a table twice and gathers a report.

    Args:
        path: a Parquet or CSV file, or a directory of them.
        generated_at: the time, with a zone.
        on_progress: called with rows and the share of the work that is done.

    Raises:
        TableError: if the table cannot be used; it names file, row and column.
    """
    advance = on_progress or (lambda _rows, _share: None)
    result = evaluate_table(path, None, lambda rows, share: advance(rows, share / 2))
    intervals = result.intervals.settings
    around = _Around(intervals)
    columns = (*REQUIRED, "subject") if intervals.clustered else REQUIRED
    for chunk in open_table(path).chunks(dict.fromkeys(columns, "every report")):
        around.add(chunk.sample)
        advance(around.n, (1 + chunk.share) / 2)
    data = ReportData(
        title=path.name,
        generated_at=generated_at,
        headlines=(),
        unit=around.unit,
        logging=around.logging(),
        policies=tuple(_rows(result, around)),
    )
    return replace(data, headlines=tuple(_headlines(data, result, Formats(data.unit))))


class _Around:
    """What the rows say beside the estimates."""

    def __init__(self, intervals: IntervalSettings) -> None:
        self.n = 0
        self._is_rate = True
        self._mean = EstimatorIntervals([Ips()], intervals)
        self._paired = make_paired(HEADLINE, intervals)
        self.weights = WeightHistogram()

    def add(self, sample: Sample) -> None:
        """Takes in a chunk."""
        logged = Sample(sample.reward, sample.p_log, sample.p_log, subject=sample.subject)
        self.n += len(sample)
        self._is_rate = self._is_rate and bool(((sample.reward == 0) | (sample.reward == 1)).all())
        self._mean.add(logged)
        self._paired.add(sample, logged)
        self.weights.add(sample)

    @property
    def unit(self) -> Unit:
        """A rate if no reward was anything but 0 or 1."""
        return Unit.RATE if self._is_rate else Unit.NUMBER

    def logging(self) -> Estimate:
        """The mean reward."""
        return self._mean.estimate(Ips.name, DEFAULT_LEVEL)

    def comparison(self) -> Comparison | None:
        """The target policy against the logging policy."""
        return compared(self._paired, DEFAULT_LEVEL, 1)


def _rows(result: EvaluationResult, around: _Around) -> Iterator[PolicyRow]:
    """One row for each estimator; they share the weights, and the first one shows them."""
    comparison, weights = around.comparison(), around.weights.result()
    for place, (name, estimate) in enumerate(result.estimates.items()):
        yield PolicyRow(
            name=f"target policy, {name}",
            n=result.n,
            estimate=estimate,
            ess=result.weights_of(name).ess,
            verdict=result.verdict,
            reasons=result.diagnosis.reasons if place == 0 else (),
            comparison=comparison if name == HEADLINE else None,
            weights=weights if place == 0 else None,
        )


def _headlines(data: ReportData, result: EvaluationResult, formats: Formats) -> Iterator[str]:
    estimate = result.estimates.get(HEADLINE) or next(iter(result.estimates.values()))
    if result.verdict is Verdict.REFUSE or estimate is None:
        reason = next(iter(result.diagnosis.reasons), "the data allow no estimate")
        yield f"This table cannot say what the target policy is worth: {reason}."
        return
    yield (
        f"By this table the target policy is worth {formats.value(estimate)} for one decision "
        f"({formats.interval(estimate)}); the policy that made it earned "
        f"{formats.value(data.logging)}."
    )
