"""Gathers what a report shows of a log: values, prediction, ledger, verification, course."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from policy.catalog import NO_SEND, Catalog
from policy.policies import Uniform
from policy.rollout import Arm
from replay.errors import EmptySampleError
from replay.estimate import Estimate
from replay.estimators import Ips
from replay.formats import Formats
from replay.ledger import ledger
from replay.log_evaluation import CHUNK, LOGGING, PolicyEvaluation, evaluate_log
from replay.report_data import (
    LedgerCounts,
    PolicyRow,
    Prediction,
    ReportData,
    Series,
    SeriesPoint,
    Unit,
    VerifyCounts,
)
from replay.sample import Sample
from replay.source import Source
from replay.verify import verify

READINGS = 4
"""How often a log is read, for progress."""
STRETCHES = 10
ESTIMATOR = "snips"

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


def summarise(
    source: Source, subject: Subject, generated_at: datetime, on_progress: OnProgress
) -> ReportData:
    """Reads a log four times and gathers a report.

    Args:
        source: the log.
        subject: what the report is about.
        generated_at: the time, with a zone.
        on_progress: called with the decisions read since the last call.

    Raises:
        EmptySampleError: if the log has no interactions.
    """
    targets = [source.target(version) for version in subject.policies]
    results = evaluate_log(source.interactions(on_progress), targets, [ESTIMATOR])
    course = _Course(source.size)
    course.read(source, on_progress)
    logging = results[LOGGING].result.estimates[ESTIMATOR]
    if logging is None:
        raise EmptySampleError
    data = ReportData(
        title=subject.title,
        generated_at=generated_at,
        headlines=(),
        unit=course.unit,
        logging=logging,
        policies=tuple(_row(version, results[version]) for version in subject.policies),
        prediction=_prediction(subject, course),
        ledger=_ledger(source, on_progress),
        verify=_verify(source, on_progress),
        reward_over_log=course.series(),
    )
    return replace(data, headlines=tuple(_headlines(data, Formats(data.unit))))


def report_facts(data: ReportData) -> dict[str, Any]:
    """What a report says, for programs."""
    facts: dict[str, Any] = {"headlines": list(data.headlines)}
    if data.prediction is not None:
        facts["prediction"] = asdict(data.prediction)
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


class _Course:
    """Rewards over the log, by arm, and those of the champion's own decisions."""

    def __init__(self, size: int) -> None:
        self._size = max(size, 1)
        self._stretches: defaultdict[tuple[Arm, int], _Mean] = defaultdict(_Mean)
        self._own: defaultdict[str, _Mean] = defaultdict(_Mean)
        self._is_rate = True

    def read(self, source: Source, on_progress: OnProgress) -> None:
        """Reads the interactions of a log, with their places in it."""
        place = 0

        def advance(count: int) -> None:
            nonlocal place
            place += count
            on_progress(count)

        for interaction in source.interactions(advance):
            decision = interaction.decision
            stretch = min((place - 1) * STRETCHES // self._size, STRETCHES - 1)
            self._is_rate = self._is_rate and interaction.reward in {0.0, 1.0}
            self._stretches[Arm(decision.arm), stretch].add(interaction.reward)
            self._own[decision.policy_version].add(interaction.reward)

    @property
    def unit(self) -> Unit:
        """A rate if no reward was anything but 0 or 1."""
        return Unit.RATE if self._is_rate else Unit.NUMBER

    def realised(self, version: str) -> Estimate | None:
        """What a policy earned with its own decisions."""
        return self._own[version].estimate() if version in self._own else None

    def series(self) -> tuple[Series, ...]:
        """Mean reward, stretch by stretch, of every arm that has interactions."""
        return tuple(
            Series(arm.name.lower(), points) for arm in Arm if (points := tuple(self._points(arm)))
        )

    def _points(self, arm: Arm) -> Iterator[SeriesPoint]:
        for stretch in range(STRETCHES):
            if (arm, stretch) in self._stretches:
                estimate = self._stretches[arm, stretch].estimate()
                yield SeriesPoint(self._size * (stretch + 1) // STRETCHES, estimate)


class _Mean:
    """The mean of rewards that come one by one."""

    def __init__(self) -> None:
        self._estimator = Ips()
        self._sums = self._estimator.statistics()
        self._waiting: list[float] = []

    def add(self, reward: float) -> None:
        """Takes one; many are summed at a time, which costs little more than one."""
        self._waiting.append(reward)
        if len(self._waiting) == CHUNK:
            self._flush()

    def estimate(self) -> Estimate:
        """The mean so far."""
        self._flush()
        return self._estimator.estimate(self._sums)

    def _flush(self) -> None:
        rewards = np.asarray(self._waiting, dtype=np.float64)
        ones = np.ones(len(rewards))
        self._sums.add(Sample(rewards, ones, ones))
        self._waiting.clear()


def _row(version: str, found: PolicyEvaluation) -> PolicyRow:
    result = found.result
    return PolicyRow(
        name=version,
        n=result.n,
        estimate=result.estimates[ESTIMATOR],
        ess=result.diagnosis.summary.ess,
        verdict=result.verdict,
        reasons=result.diagnosis.reasons,
        difference=found.difference,
        weights=found.weights,
    )


def _prediction(subject: Subject, course: _Course) -> Prediction | None:
    realised = course.realised(subject.champion)
    if subject.predicted is None or realised is None:
        return None
    return Prediction(subject.champion, subject.predicted, realised)


def _ledger(source: Source, on_progress: OnProgress) -> LedgerCounts:
    found = ledger(source.log, source.catalog.reward, on_progress)
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
    if data.prediction is not None:
        predicted, realised = data.prediction.predicted, data.prediction.realised
        kept = "as predicted" if data.prediction.kept else "not as predicted"
        yield (
            f"{data.prediction.policy} was expected to earn {formats.interval(predicted)} "
            f"and earned {formats.value(realised)}, {kept}."
        )
    if data.verify is not None and data.verify.mismatched:
        yield f"{data.verify.mismatched:,} decisions cannot be recomputed: trust none of this."


def _value(row: PolicyRow) -> float:
    return row.shown.value if row.shown else float("-inf")


def _sentence(row: PolicyRow, formats: Formats) -> str:
    if row.shown is None:
        return "no estimate"
    value = f"{formats.value(row.shown)} for one decision ({formats.interval(row.shown)})"
    if row.shown_difference is None:
        return value
    return f"{value}, {formats.difference(row.shown_difference)} against the logging policy"
