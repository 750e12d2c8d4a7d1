"""Evaluates policies on the log: what each would have earned, had it decided instead."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

import numpy as np

from decisionlog import Decision
from decisionlog.ids import to_text
from policy.choice import action_probability
from policy.policies import Policy
from replay.comparison import Comparison, compared
from replay.estimate import Estimate
from replay.estimators import HEADLINE
from replay.evaluation import Evaluation, EvaluationResult
from replay.histogram import Bins, WeightHistogram
from replay.intervals.settings import IntervalSettings
from replay.join import Interaction, has_support
from replay.paired import make_paired
from replay.sample import Ints, Sample, named_rows
from replay.subjects import keys_of
from replay.sums import Floats

CHUNK = 2048
LOG_INTERVALS = IntervalSettings(clustered=True)
"""On our own log there always is a subject."""
LOGGING = "logging"
"""Name of the logging policy: its value is the mean reward of the log."""


@dataclass(frozen=True, slots=True)
class Target:
    """A policy to evaluate."""

    name: str
    policy: Policy
    is_fresh: Callable[[Decision], bool] = lambda _decision: True
    """Whether it may be evaluated on a decision: a policy may not on those it has learned from."""


class Unusable(StrEnum):
    """Why an interaction cannot speak for a policy."""

    NO_SUPPORT = "no_support"
    """It was decided by a rule that gave eligible actions no chance."""
    NOT_FRESH = "not_fresh"
    """The policy has learned from it, or may have from its subject's others."""


@dataclass(frozen=True, slots=True)
class PolicyEvaluation:
    """What the log says about one policy."""

    result: EvaluationResult
    comparison: Comparison | None
    """This policy against the logging policy, on the same interactions."""
    weights: Bins
    unusable: Mapping[Unusable, int] = field(default_factory=dict)
    """Interactions that could not speak for it, by why."""

    @property
    def difference(self) -> Estimate | None:
        """This policy minus the logging policy."""
        return None if self.comparison is None else self.comparison.difference


def is_usable(interaction: Interaction, target: Target) -> bool:
    """Whether an interaction can speak for a policy: it drew, and the policy has not seen it."""
    return _why_unusable(interaction, target) is None


def usable_for(
    target: Target, interactions: Iterable[Interaction]
) -> tuple[list[Interaction], Counter[Unusable]]:
    """The interactions that can speak for a policy, and how many cannot, by why."""
    usable: list[Interaction] = []
    unusable: Counter[Unusable] = Counter()
    for one in interactions:
        if why := _why_unusable(one, target):
            unusable[why] += 1
        else:
            usable.append(one)
    return usable, unusable


def _why_unusable(interaction: Interaction, target: Target) -> Unusable | None:
    if not has_support(interaction.decision):
        return Unusable.NO_SUPPORT
    return None if target.is_fresh(interaction.decision) else Unusable.NOT_FRESH


def p_target(policy: Policy, interactions: Sequence[Interaction]) -> Floats:
    """Probability with which a policy would have chosen each logged action, shape (n,)."""
    return np.asarray(
        [action_probability(policy, one.situation, one.path) for one in interactions],
        dtype=np.float64,
    )


def p_logged(interactions: Sequence[Interaction]) -> Floats:
    """Probability with which each logged action was taken, shape (n,)."""
    return np.asarray([_p_log(one) for one in interactions], dtype=np.float64)


Columns = Mapping[str, Floats]
"""Optional columns of `Sample`, by name; arrays of shape (n,)."""
NO_COLUMNS: Columns = MappingProxyType({})


class PolicyReading:
    """Accumulates what one policy is judged by; parts made anywhere merge, and can be pickled."""

    def __init__(
        self, estimators: Sequence[str], intervals: IntervalSettings = LOG_INTERVALS
    ) -> None:
        self.evaluation = Evaluation(estimators, intervals)
        self.paired = make_paired(HEADLINE, intervals)
        self.weights = WeightHistogram()
        self.unusable: Counter[Unusable] = Counter()

    def add(
        self,
        interactions: Sequence[Interaction],
        probabilities: Floats,
        columns: Columns = NO_COLUMNS,
    ) -> Floats:
        """Takes in interactions.

        Args:
            interactions: the ones that can speak for the policy.
            probabilities: of their choices by the policy.
            columns: what some estimators need beside them.

        Returns:
            Their importance weights, shape (n,).

        Raises:
            BadValueError: one of them breaks what was declared; its decision is named.
        """
        if not interactions:
            return np.zeros(0)
        with named_rows(lambda row: f"decision {to_text(interactions[row].decision.decision_id)}"):
            sample = sample_of(interactions, probabilities, columns)
            self.evaluation.add(sample)
            logged = Sample(sample.reward, sample.p_log, sample.p_log, subject=sample.subject)
            self.paired.add(sample, logged)
            self.weights.add(sample)
        return sample.weight

    def merge(self, other: "PolicyReading") -> None:
        """Takes in what another one of the same policy and estimators has seen."""
        self.evaluation.merge(other.evaluation)
        self.paired.merge(other.paired)
        self.weights.merge(other.weights)
        self.unusable.update(other.unusable)

    def result(self, level: float, comparisons: int = 1) -> PolicyEvaluation:
        """What has been found so far, of a policy that is one of several to be compared."""
        comparison = compared(self.paired, level, comparisons)
        result, weights = self.evaluation.result(level), self.weights.result()
        return PolicyEvaluation(result, comparison, weights, self.unusable)


def sample_of(
    interactions: Sequence[Interaction],
    probabilities: Floats,
    columns: Columns = NO_COLUMNS,
) -> Sample:
    """Interactions as estimators take them in.

    Args:
        interactions: the ones that can speak for a policy.
        probabilities: of their choices by the policy, shape (n,).
        columns: what some estimators need beside them.
    """
    return Sample(
        reward=np.asarray([one.reward for one in interactions]),
        p_log=p_logged(interactions),
        p_target=probabilities,
        subject=clusters(interactions),
        **columns,  # type: ignore[arg-type] # by name, none of them the others
    )


def evaluation_row(one: Interaction, target: Target) -> dict[str, float]:
    """What an evaluation of a policy takes of an interaction, by the columns of a table."""
    return {
        "reward": one.reward,
        "p_log": _p_log(one),
        "p_target": float(p_target(target.policy, [one])[0]),
        "subject": int(clusters([one])[0]),
    }


def _p_log(interaction: Interaction) -> float:
    return interaction.decision.action_probability


def clusters(interactions: Sequence[Interaction]) -> Ints:
    """A number for each subject: 63 bits of its pseudonym, shape (n,)."""
    keys = keys_of([one.decision for one in interactions])
    return (keys >> np.uint64(1)).astype(np.int64)
