"""The gate: whether a candidate is better than the champion, by the log and beyond luck."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from replay.estimate import Estimate
from replay.join import Interaction
from replay.log_evaluation import PAIRED_FORM, Target, compare, evaluate_log
from replay.verdict import Verdict


@dataclass(frozen=True, slots=True)
class GateResult:
    """Whether a candidate may replace the champion, and why not."""

    difference: Estimate | None
    """Candidate minus champion, for one decision."""
    predicted: Estimate | None
    """What the candidate should earn for one decision."""
    n: int
    """Interactions that it rests on; none of them taught the candidate."""
    reasons: tuple[str, ...]
    """Why the candidate does not pass; empty if it does."""

    @property
    def passed(self) -> bool:
        """Whether the candidate may be promoted."""
        return not self.reasons


def gate(
    interactions: Callable[[], Iterable[Interaction]], candidate: Target, champion: Target
) -> GateResult:
    """Compares a candidate with the champion.

    It passes if neither policy's evaluation is refused, and if the whole interval of the paired
    difference lies above 0: what a handful of rows say of the champion is no evidence either.

    Args:
        interactions: gives them anew each time.
        candidate: with the interactions that it may be evaluated on.
        champion: what it would replace, with the same; neither is judged on what it has learned.
    """
    difference, count = compare(interactions(), candidate, champion)
    found = evaluate_log(interactions(), [candidate, champion], [PAIRED_FORM])
    result, other = (found[one.name].result for one in (candidate, champion))
    reasons = [*_doubts(difference)]
    if result.verdict is Verdict.REFUSE:
        reasons += result.diagnosis.reasons
    elif other.verdict is Verdict.REFUSE:
        reasons += (f"of the champion, {reason}" for reason in other.diagnosis.reasons)
    return GateResult(difference, result.headline(PAIRED_FORM), count, tuple(reasons))


def _doubts(difference: Estimate | None) -> Iterator[str]:
    if difference is None:
        yield "the log allows no comparison: none of its choices is one that both could make"
    elif difference.interval[1] < 0.0:
        yield f"it is worse: the whole interval of the difference, {_shown(difference)}, is below 0"
    elif difference.interval[0] <= 0.0:
        yield f"the difference may be luck: its interval, {_shown(difference)}, is not above 0"


def _shown(difference: Estimate) -> str:
    low, high = difference.interval
    return f"from {low:.6g} to {high:.6g}"
