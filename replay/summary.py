"""Gathers what a report shows of a log: values, prediction, ledger, verification, course."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from policy.catalog import NO_SEND, Catalog
from policy.policies import Uniform
from replay.checks import MaturityCheck
from replay.course import Course, Stretches
from replay.errors import NothingToReportError
from replay.estimate import DEFAULT_LEVEL, Estimate
from replay.estimators import HEADLINE
from replay.formats import Formats
from replay.ledger import ledger
from replay.log_evaluation import LOGGING, PolicyEvaluation
from replay.log_plan import EvaluationPlan, conclude
from replay.metrics import DIMENSIONS, MetricsPlan, default_segments, kinds_of
from replay.report_data import (
    Delays,
    LedgerCounts,
    PolicyRow,
    Prediction,
    ReportData,
    VerifyCounts,
)
from replay.report_plan import ReportPlan
from replay.reward_models import CrossFitted
from replay.slices import read_log
from replay.source import Source
from replay.verify import verify

READINGS = 3
"""How often a log is read, for progress."""
ROBUST = "dr"
"""Shown in its place where there is a reward model."""

OnProgress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a report is about."""

    title: str
    champion: str
    """Version of the policy in force."""
    predicted: Estimate | None
    """What the champion was expected to earn; None if nobody said."""
    policies: Sequence[str]
    """Versions to evaluate."""
    reward_model: CrossFitted | None = None
    """Fitted already; its estimates are doubly robust."""
    segments: tuple[str, ...] | None = None
    """Features to tell interactions apart by; None: some with a few values."""


def summarise(
    source: Source,
    subject: Subject,
    generated_at: datetime,
    on_progress: OnProgress,
    *,
    processes: int | None = None,
) -> ReportData:
    """Reads a log three times and gathers a report.

    Args:
        source: the log.
        subject: what the report is about.
        generated_at: the time, with a zone.
        on_progress: called with the decisions read since the last call.
        processes: the most to use; None: one a core. The report is the same for any number.

    Raises:
        NothingToReportError: if the log has no interactions.
    """
    plan = _plan(source, subject)
    found = read_log(source, plan, processes, on_progress)
    results = conclude(source, found.log, DEFAULT_LEVEL)
    course, ends = found.course, plan.stretches.ends
    logging = results.policies[LOGGING].result.estimates[HEADLINE]
    if logging is None:
        raise NothingToReportError
    data = ReportData(
        title=subject.title,
        generated_at=generated_at,
        headlines=(),
        unit=course.unit,
        logging=logging,
        policies=tuple(_row(name, results.policies[name]) for name in subject.policies),
        prediction=_prediction(subject, course),
        ledger=_ledger(source, on_progress),
        verify=_verify(source, on_progress),
        reward_over_log=course.series(ends),
        ess_over_log=course.shares(subject.policies, ends),
        delays=_delays(found.log.checks.maturity),
        metrics=plan.metrics.table(found.metrics, results.log, DEFAULT_LEVEL, asked=False),
        reward_model=results.reward_model,
        findings=results.log.findings,
    )
    return replace(data, headlines=tuple(_headlines(data, Formats(data.unit))))


def _plan(source: Source, subject: Subject) -> ReportPlan:
    names = (HEADLINE,) if subject.reward_model is None else (HEADLINE, ROBUST)
    evaluation = EvaluationPlan(tuple(subject.policies), names, subject.reward_model)
    return ReportPlan(evaluation, _metrics_plan(source, subject), Stretches(source))


def _metrics_plan(source: Source, subject: Subject) -> MetricsPlan:
    segments = subject.segments
    if segments is None:
        segments = default_segments(source.interactions())
    return MetricsPlan(kinds_of(source.catalog), tuple(DIMENSIONS), segments)


def _delays(maturity: MaturityCheck) -> Delays:
    return Delays(
        days=maturity.rule.attribution_days,
        counts=tuple(int(count) for count in maturity.delays),
        late=maturity.late,
        open_share=maturity.open_share,
    )


def report_facts(data: ReportData) -> dict[str, Any]:
    """What a report says, for programs."""
    facts: dict[str, Any] = {"headlines": list(data.headlines)}
    if data.prediction is not None:
        found = data.prediction
        more = {"difference": asdict(found.difference), "kept": found.kept}
        facts["prediction"] = {**asdict(found), **more}
    if data.ledger is not None:
        counts = {name.replace(" ", "_"): count for name, count in data.ledger.counts.items()}
        facts["ledger"] = {**counts, "balanced": data.ledger.balanced}
    if data.verify is not None:
        facts["verify"] = asdict(data.verify)
    return facts


def default_policies(catalog: Catalog, champion: str) -> list[str]:
    """What a report compares if nobody says: chance, every offer to everybody, the champion."""
    offers = [*catalog.offers, *([NO_SEND] if catalog.no_send else [])]
    versions = [Uniform.version, *(f"fixed/{offer}" for offer in offers), champion]
    return list(dict.fromkeys(versions))


def _row(version: str, found: PolicyEvaluation) -> PolicyRow:
    result = found.result
    robust = result.estimates.get(ROBUST)
    return PolicyRow(
        name=version,
        n=result.n,
        estimate=robust or result.estimates[HEADLINE],
        ess=result.diagnosis.summary.ess,
        verdict=result.verdict,
        reasons=result.diagnosis.reasons,
        comparison=found.comparison,
        weights=found.weights,
    )


def _prediction(subject: Subject, course: Course) -> Prediction | None:
    realised = course.realised(subject.champion)
    if subject.predicted is None or realised is None:
        return None
    return Prediction(subject.champion, subject.predicted, realised)


def _ledger(source: Source, on_progress: OnProgress) -> LedgerCounts:
    found = ledger(source.log, source.catalog.reward, on_progress, open_log=source.open_log)
    counts = {name.replace("_", " "): count for name, count in asdict(found).items()}
    return LedgerCounts(found.balanced, counts)


def _verify(source: Source, on_progress: OnProgress) -> VerifyCounts:
    found = verify(source.sought, on_progress)
    return VerifyCounts(found.decisions, found.exact, found.mismatched)


def _headlines(data: ReportData, formats: Formats) -> Iterator[str]:
    """What was found, in sentences."""
    shown = [row for row in data.policies if row.shown is not None]
    if shown:
        best = max(shown, key=_value)
        yield f"{best.name} is worth most by this log: {_sentence(best, formats)}."
    elif data.policies:
        reasons = [reason for row in data.policies for reason in row.reasons]
        yield f"This log cannot say what any of these policies is worth: {reasons[0]}."
    if data.prediction is not None:
        predicted, realised = data.prediction.predicted, data.prediction.realised
        kept = "as predicted" if data.prediction.kept else "not as predicted"
        yield (
            f"{data.prediction.policy} was expected to earn {formats.interval(predicted)} "
            f"and earned {formats.value(realised)} ({formats.interval(realised)}), {kept}."
        )
    if data.verify is not None and data.verify.mismatched:
        yield f"{data.verify.mismatched:,} decisions cannot be recomputed: trust none of this."


def _value(row: PolicyRow) -> float:
    return row.shown.value if row.shown else float("-inf")


def _sentence(row: PolicyRow, formats: Formats) -> str:
    if row.shown is None:
        return "no estimate"
    value = f"{formats.value(row.shown)} for one decision ({formats.interval(row.shown)})"
    found = row.shown_comparison
    if found is None:
        return value
    difference = (
        f"{formats.difference(found.difference)} ({formats.difference_interval(found.difference)}) "
        "against the logging policy"
    )
    return ", ".join(filter(None, (value, difference, found.words, found.among)))
