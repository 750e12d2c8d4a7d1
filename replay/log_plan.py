"""Evaluates policies on a whole log, over processes: their values, and the checks of the log."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

import numpy as np

from policy.policies import FloatArray, Policy
from policy.rollout import Rollout
from replay.checks import LogChecks, LogFindings
from replay.diagnostics import Diagnosis
from replay.estimate import DEFAULT_LEVEL
from replay.evaluation import DEFAULT_ESTIMATORS
from replay.intervals.settings import IntervalSettings
from replay.join import Interaction, Joined, Left
from replay.log_evaluation import (
    CHUNK,
    LOG_INTERVALS,
    LOGGING,
    NO_COLUMNS,
    Columns,
    PolicyEvaluation,
    PolicyReading,
    Target,
    p_logged,
    p_target,
    usable_for,
)
from replay.reward_models import Calibration, CalibrationSummary, CrossFitted
from replay.reward_models.crossfit import Scorer, q_logged, v_target
from replay.slices import read_log
from replay.source import Source
from replay.stage_columns import (
    Pmfs,
    logged_pmfs,
    need_stage_values,
    need_stages,
    stage_columns,
    target_pmfs,
)
from replay.sums import Floats
from replay.verdict import worst_first


@dataclass(frozen=True, slots=True)
class LogEvaluation:
    """What a log says about policies, and about itself."""

    policies: Mapping[str, PolicyEvaluation]
    """By version; `logging` is the policy that made the log."""
    left: Mapping[Left, int]
    """Decisions that are no interactions, by why."""
    log: LogFindings
    reward_model: CalibrationSummary | None = None
    """How well the reward model foresaw, if there was one."""


class LogReading:
    """What was found in some decisions; see `replay.slices.Reading`."""

    def __init__(self, source: Source, plan: "EvaluationPlan") -> None:
        self.policies = {
            name: PolicyReading(plan.estimators, plan.intervals)
            for name in (LOGGING, *plan.versions)
        }
        self.left: Counter[Left] = Counter()
        self.checks = LogChecks(source.catalog.reward, source.as_of_ms)
        model = plan.reward_model
        self.calibration = None if model is None else Calibration(model.name)

    def merge(self, other: "LogReading") -> None:
        """Takes in what was found in the decisions that follow."""
        for name, reading in self.policies.items():
            reading.merge(other.policies[name])
        self.left.update(other.left)
        self.checks.merge(other.checks)
        if self.calibration is not None and other.calibration is not None:
            self.calibration.merge(other.calibration)


OnWeights = Callable[[str, Sequence[Interaction], Floats], None]
Add = Callable[[LogReading, Sequence[Joined]], None]


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """Evaluates policies and checks the log in one reading."""

    versions: tuple[str, ...]
    estimators: tuple[str, ...] = DEFAULT_ESTIMATORS
    reward_model: CrossFitted | None = None
    intervals: IntervalSettings = LOG_INTERVALS

    def prepare(self, source: Source) -> Callable[[Iterable[Joined]], LogReading]:
        """Loads the policies."""
        add = self.adder(source)

        def read(joined: Iterable[Joined]) -> LogReading:
            found = LogReading(source, self)
            for chunk in chunks(joined):
                add(found, chunk)
            return found

        return read

    def adder(self, source: Source, on_weights: OnWeights | None = None) -> Add:
        """Loads the policies, and gives what adds decisions to a reading.

        Args:
            source: where the policies are.
            on_weights: told of every policy's interactions and importance weights.
        """
        targets = [source.target(version) for version in self.versions]
        scorer = None if self.reward_model is None else self.reward_model.ready()
        needs = _Needs(need_stages(self.estimators), need_stage_values(self.estimators))
        tell = on_weights or (lambda _policy, _interactions, _weights: None)
        return lambda found, chunk: _add(found, chunk, targets, _Extras(scorer, needs), tell)


def _add(
    found: LogReading,
    chunk: Sequence[Joined],
    targets: Sequence[Target],
    extras: "_Extras",
    tell: OnWeights,
) -> None:
    found.left.update(one.left for one in chunk if one.left is not None)
    found.checks.add(chunk)
    interactions = [one.interaction for one in chunk if one.interaction is not None]
    extras.look_at(interactions)
    columns = extras.of_logging(interactions)
    found.policies[LOGGING].add(interactions, p_logged(interactions), columns)
    if found.calibration is not None and "q_logged" in columns:
        rewards = np.asarray([one.reward for one in interactions], dtype=np.float64)
        found.calibration.add(columns["q_logged"], rewards)
    for target in targets:
        usable, unusable = usable_for(target, interactions)
        columns = extras.of(target.policy, usable)
        chosen = p_target(target.policy, usable)
        reading = found.policies[target.name]
        reading.unusable.update(unusable)
        tell(target.name, usable, reading.add(usable, chosen, columns))


class _Needs(NamedTuple):
    """What some estimators need beside the usual columns."""

    stages: bool
    stage_values: bool


class _Extras:
    """Makes the optional columns of some interactions; what a model foresees once for all."""

    def __init__(self, scorer: Scorer | None, needs: _Needs) -> None:
        self._scorer = scorer
        self._needs = needs
        self._values: Mapping[bytes, FloatArray] = {}

    def look_at(self, interactions: Sequence[Interaction]) -> None:
        """Foresees the rewards of all their actions."""
        if self._scorer is not None:
            ids = [one.decision.decision_id for one in interactions]
            self._values = dict(zip(ids, self._scorer.values(interactions), strict=True))

    def of_logging(self, interactions: Sequence[Interaction]) -> Columns:
        """For the policy that made the log its own choice stands for the mean over its choices."""
        if self._scorer is None and not self._needs.stages:
            return NO_COLUMNS
        stages = self._stages(interactions, lambda: logged_pmfs(interactions))
        if self._scorer is None:
            return stages
        q = q_logged(interactions, self._chosen(interactions))
        return {**stages, "q_logged": q, "v_target": q}

    def of(self, policy: Policy, interactions: Sequence[Interaction]) -> Columns:
        """For another policy."""
        stages = self._stages(interactions, lambda: target_pmfs(policy, interactions))
        if self._scorer is None:
            return stages
        values = self._chosen(interactions)
        q, v = q_logged(interactions, values), v_target(policy, interactions, values)
        return {**stages, "q_logged": q, "v_target": v}

    def _stages(self, interactions: Sequence[Interaction], pmfs: Callable[[], Pmfs]) -> Columns:
        if not self._needs.stages:
            return NO_COLUMNS
        values = None
        if self._scorer is not None and self._needs.stage_values:
            values = self._scorer.stage_values(interactions)
        return stage_columns(interactions, pmfs(), values)

    def _chosen(self, interactions: Sequence[Interaction]) -> list[FloatArray]:
        return [self._values[one.decision.decision_id] for one in interactions]


def evaluate_source(  # noqa: PLR0913 - what an evaluation depends on
    source: Source,
    versions: Sequence[str],
    estimators: Sequence[str] = DEFAULT_ESTIMATORS,
    level: float = DEFAULT_LEVEL,
    *,
    reward_model: CrossFitted | None = None,
    intervals: IntervalSettings = LOG_INTERVALS,
    processes: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> LogEvaluation:
    """Evaluates policies on a log in one reading, the logging policy among them.

    Args:
        source: the log.
        versions: of the policies; `logging` may be among them.
        estimators: names, for every policy.
        level: of the intervals.
        reward_model: what `dm`, `dr` and their like foresee rewards by.
        intervals: which ones; clustered by subject unless they say otherwise.
        processes: the most to use; None: one a core. The result is the same for any number.
        on_progress: called with the decisions read since the last call.
    """
    wanted = tuple(name for name in dict.fromkeys(versions) if name != LOGGING)
    plan = EvaluationPlan(
        wanted, tuple(estimators), reward_model, intervals.known(has_subjects=True)
    )
    found = read_log(source, plan, processes, on_progress)
    return conclude(source, found, level)


def rollouts_of(source: Source) -> list[Rollout]:
    """The rollouts that divided the subjects; none if only some decisions are looked at."""
    return [] if source.made_by else list(source.registry.rollout_file.history())


def conclude(source: Source, found: LogReading, level: float) -> LogEvaluation:
    """What all that was read says."""
    log = found.checks.result(rollouts_of(source))
    model = None if found.calibration is None else found.calibration.result()
    if model is not None:
        log = replace(log, findings=(*log.findings, *model.findings()))
    comparisons = len(found.policies.keys() - {LOGGING})
    policies = {
        name: with_log(one.result(level, comparisons), log) for name, one in found.policies.items()
    }
    return LogEvaluation(policies, found.left + source.left_damaged, log, model)


def with_log(found: PolicyEvaluation, log: LogFindings) -> PolicyEvaluation:
    """A policy's evaluation with what is wrong with the log it rests on."""
    diagnosis = found.result.diagnosis
    verdict, reasons = worst_first(diagnosis.verdict, diagnosis.reasons, log.findings)
    return replace(
        found,
        result=replace(found.result, diagnosis=Diagnosis(diagnosis.summary, verdict, reasons)),
    )


def chunks(joined: Iterable[Joined]) -> Iterator[list[Joined]]:
    """Decisions by the thousand."""
    waiting = iter(joined)
    while chunk := list(islice(waiting, CHUNK)):
        yield chunk
