"""The gate: whether a candidate is better than the champion, by the log and beyond luck."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from replay.checks import LogChecks, LogFindings
from replay.errors import NoEstimateError
from replay.estimate import DEFAULT_LEVEL, Estimate
from replay.estimators import HEADLINE
from replay.evaluation import Evaluation, EvaluationResult
from replay.intervals.settings import IntervalSettings
from replay.join import Joined
from replay.log_evaluation import (
    LOG_INTERVALS,
    Target,
    is_usable,
    p_target,
    sample_of,
)
from replay.log_plan import chunks, rollouts_of
from replay.paired import make_paired
from replay.slices import read_log
from replay.source import Source
from replay.verdict import Verdict


@dataclass(frozen=True, slots=True)
class GateResult:
    """Whether a candidate may replace the champion, and why not."""

    difference: Estimate | None
    """Candidate minus champion, for one decision."""
    predicted: Estimate | None
    """What the candidate should earn for one decision; None where that is refused."""
    n: int
    """Interactions that all of it rests on; none of them taught either of the two."""
    own: int
    """How many of them the candidate itself decided, as a canary or when it was the champion."""
    reasons: tuple[str, ...]
    """Why the candidate does not pass; empty if it does."""

    @property
    def passed(self) -> bool:
        """Whether the candidate may be promoted."""
        return not self.reasons

    @property
    def forecast(self) -> Estimate | None:
        """What may be held against what comes true.

        None of a policy that stays out, and none that rests on what came true already.
        """
        return self.predicted if self.passed and not self.own else None


class GateReading:
    """What was found in some decisions; see `replay.slices.Reading`."""

    def __init__(self, source: Source, intervals: IntervalSettings = LOG_INTERVALS) -> None:
        self.checks = LogChecks(source.catalog.reward, source.as_of_ms)
        self.candidate = Evaluation((HEADLINE,), LOG_INTERVALS)
        self.champion = Evaluation((HEADLINE,), LOG_INTERVALS)
        self.paired = make_paired(HEADLINE, intervals)
        self.own = 0

    def add(self, chunk: Sequence[Joined], candidate: Target, champion: Target) -> None:
        """Takes in decisions; those that can speak for both policies are evidence."""
        self.checks.add(chunk)
        both = (candidate, champion)
        found = [one.interaction for one in chunk if one.interaction is not None]
        usable = [one for one in found if all(is_usable(one, target) for target in both)]
        if not usable:
            return
        mine, other = (sample_of(usable, p_target(target.policy, usable)) for target in both)
        self.candidate.add(mine)
        self.champion.add(other)
        self.paired.add(mine, other)
        self.own += sum(one.decision.policy_version == candidate.name for one in usable)

    def merge(self, other: "GateReading") -> None:
        """Takes in what was found in the decisions that follow."""
        self.checks.merge(other.checks)
        self.candidate.merge(other.candidate)
        self.champion.merge(other.champion)
        self.paired.merge(other.paired)
        self.own += other.own

    def difference(self, level: float) -> Estimate | None:
        """Candidate minus champion; None if there can be none."""
        try:
            return self.paired.estimate(level)
        except NoEstimateError:
            return None


@dataclass(frozen=True, slots=True)
class GatePlan:
    """Evaluates two policies on the same interactions, and checks the log, in one reading."""

    candidate: str
    champion: str
    intervals: IntervalSettings = LOG_INTERVALS
    """Of the difference."""

    def prepare(self, source: Source) -> Callable[[Iterable[Joined]], GateReading]:
        """Loads the policies."""
        candidate, champion = source.target(self.candidate), source.target(self.champion)

        def read(joined: Iterable[Joined]) -> GateReading:
            found = GateReading(source, self.intervals)
            for chunk in chunks(joined):
                found.add(chunk, candidate, champion)
            return found

        return read


def gate(  # noqa: PLR0913 - what a gate depends on
    source: Source,
    candidate: str,
    champion: str,
    *,
    intervals: IntervalSettings = LOG_INTERVALS,
    level: float = DEFAULT_LEVEL,
    processes: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> GateResult:
    """Compares a candidate with the champion, in one reading of the log.

    Args:
        source: the log.
        candidate: version of the one that would be promoted.
        champion: version of the one that it would replace.
        intervals: of the difference; by `Method.SEQUENCE` the gate may be tried again and again
            while the log grows.
        level: of that interval.
        processes: the most to use; None: one a core. The result is the same for any number.
        on_progress: called with the decisions read since the last call.

    Raises:
        UnknownVersionError: if one of them is not registered.
        BadValueError: if a decision breaks what is declared for the intervals.
    """
    found = read_log(source, GatePlan(candidate, champion, intervals), processes, on_progress)
    return judge(found, found.checks.result(rollouts_of(source)), level)


def judge(found: GateReading, log: LogFindings, level: float = DEFAULT_LEVEL) -> GateResult:
    """Says whether the candidate passes.

    It does if nothing is refused, and if the whole interval of the paired difference lies above 0.
    The log is refused for what is wrong with it, and either policy for what the interactions say
    of it that the difference rests on: a handful of rows is no evidence, of the champion either.
    """
    difference = found.difference(level)
    result, other = found.candidate.result(), found.champion.result()
    refusals = tuple(_refusals(log, result, other))
    predicted = None if refusals else result.estimates[HEADLINE]
    reasons = (*_doubts(difference), *refusals)
    return GateResult(difference, predicted, result.n, found.own, reasons)


def _doubts(difference: Estimate | None) -> Iterator[str]:
    if difference is None:
        yield "the log allows no comparison: none of its choices is one that both could make"
    elif difference.interval[1] < 0.0:
        yield f"it is worse: the whole interval of the difference, {_shown(difference)}, is below 0"
    elif difference.interval[0] <= 0.0:
        yield f"the difference may be luck: its interval, {_shown(difference)}, is not above 0"


def _refusals(
    log: LogFindings, candidate: EvaluationResult, champion: EvaluationResult
) -> Iterator[str]:
    """Why nothing may be concluded; of the champion only where nothing is wrong before."""
    yield from (one.reason for one in log.findings if one.verdict is Verdict.REFUSE)
    if candidate.verdict is Verdict.REFUSE:
        yield from candidate.diagnosis.reasons
    elif champion.verdict is Verdict.REFUSE:
        yield from (f"of the champion, {reason}" for reason in champion.diagnosis.reasons)


def _shown(difference: Estimate) -> str:
    low, high = difference.interval
    return f"from {low:.6g} to {high:.6g}"
