"""Evaluates policies on a whole log, over processes: their values, and the checks of the log."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from policy.rollout import Rollout
from replay.checks import LogChecks, LogFindings
from replay.diagnostics import Diagnosis
from replay.estimate import DEFAULT_LEVEL
from replay.evaluation import DEFAULT_ESTIMATORS
from replay.join import Interaction, Joined, Left
from replay.log_evaluation import (
    CHUNK,
    LOGGING,
    PolicyEvaluation,
    PolicyReading,
    Target,
    is_usable,
    p_logged,
    p_target,
)
from replay.slices import read_log
from replay.source import Source
from replay.verdict import worst_first


@dataclass(frozen=True, slots=True)
class LogEvaluation:
    """What a log says about policies, and about itself."""

    policies: Mapping[str, PolicyEvaluation]
    """By version; `logging` is the policy that made the log."""
    left: Mapping[Left, int]
    """Decisions that are no interactions, by why."""
    log: LogFindings


class LogReading:
    """What was found in some decisions; see `replay.slices.Reading`."""

    def __init__(self, source: Source, versions: Sequence[str], estimators: Sequence[str]) -> None:
        self.policies = {name: PolicyReading(estimators) for name in (LOGGING, *versions)}
        self.left: Counter[Left] = Counter()
        self.checks = LogChecks(source.catalog.reward)

    def merge(self, other: "LogReading") -> None:
        """Takes in what was found in the decisions that follow."""
        for name, reading in self.policies.items():
            reading.merge(other.policies[name])
        self.left.update(other.left)
        self.checks.merge(other.checks)


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """Evaluates policies and checks the log in one reading."""

    versions: tuple[str, ...]
    estimators: tuple[str, ...] = DEFAULT_ESTIMATORS

    def prepare(self, source: Source) -> Callable[[Iterable[Joined]], LogReading]:
        """Loads the policies."""
        targets = [source.target(version) for version in self.versions]

        def read(joined: Iterable[Joined]) -> LogReading:
            found = LogReading(source, self.versions, self.estimators)
            for chunk in chunks(joined):
                self._add(found, chunk, targets)
            return found

        return read

    def _add(self, found: LogReading, chunk: Sequence[Joined], targets: Sequence[Target]) -> None:
        found.left.update(one.left for one in chunk if one.left is not None)
        found.checks.add(chunk)
        interactions = [one.interaction for one in chunk if one.interaction is not None]
        found.policies[LOGGING].add(interactions, p_logged(interactions))
        for target in targets:
            usable = usable_for(target, interactions)
            found.policies[target.name].add(usable, p_target(target.policy, usable))


def evaluate_source(  # noqa: PLR0913 - what an evaluation depends on
    source: Source,
    versions: Sequence[str],
    estimators: Sequence[str] = DEFAULT_ESTIMATORS,
    level: float = DEFAULT_LEVEL,
    *,
    processes: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> LogEvaluation:
    """Evaluates policies on a log in one reading, the logging policy among them.

    Args:
        source: the log.
        versions: of the policies; `logging` may be among them.
        estimators: names, for every policy.
        level: of the intervals.
        processes: the most to use; None: one a core. The result is the same for any number.
        on_progress: called with the decisions read since the last call.
    """
    wanted = tuple(name for name in dict.fromkeys(versions) if name != LOGGING)
    plan = EvaluationPlan(wanted, tuple(estimators))
    found = read_log(source, plan, processes, on_progress)
    log = found.checks.result(rollouts_of(source))
    policies = {name: with_log(one.result(level), log) for name, one in found.policies.items()}
    return LogEvaluation(policies, found.left, log)


def rollouts_of(source: Source) -> list[Rollout]:
    """The rollouts that divided the subjects; none if only some decisions are looked at."""
    return [] if source.made_by else list(source.registry.rollout_file.history())


def with_log(found: PolicyEvaluation, log: LogFindings) -> PolicyEvaluation:
    """A policy's evaluation with what is wrong with the log it rests on."""
    diagnosis = found.result.diagnosis
    verdict, reasons = worst_first(diagnosis.verdict, diagnosis.reasons, log.findings)
    return replace(
        found,
        result=replace(found.result, diagnosis=Diagnosis(diagnosis.summary, verdict, reasons)),
    )


def usable_for(target: Target, interactions: Iterable[Interaction]) -> list[Interaction]:
    """The interactions that can speak for a policy."""
    return [one for one in interactions if is_usable(one, target)]


def chunks(joined: Iterable[Joined]) -> Iterator[list[Joined]]:
    """Decisions by the thousand."""
    waiting = iter(joined)
    while chunk := list(islice(waiting, CHUNK)):
        yield chunk
