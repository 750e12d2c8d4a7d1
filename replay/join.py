"""Joins decisions with what became of them: interactions, and a count of all that are none."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from operator import add
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from decisionlog import Decision, Delivery, DeliveryStatus, LoggedDecision, Reward
from decisionlog.contacts import precedence
from policy.catalog import Catalog
from policy.catalog import Reward as RewardRule
from policy.chain import REWARD_MAX
from policy.eligibility import is_no_send
from policy.rollout import Arm
from policy.situation import Path, Situation, situation_of

DAY_MS = 86_400_000

Times = TypeVar("Times", float, NDArray[np.float64])
"""Times in Unix milliseconds, one or many; whole numbers below 2^53, which floats hold exactly."""

# A reward that happened before its decision was not caused by it; clocks may differ by this much.
CLOCK_TOLERANCE_MS = 3_600_000


class Fate(StrEnum):
    """What became of a decision."""

    DELIVERED = "delivered"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    OVERRIDDEN = "overridden"
    PENDING = "pending"


FATES = {
    DeliveryStatus.SENT: Fate.DELIVERED,
    DeliveryStatus.FAILED: Fate.FAILED,
    DeliveryStatus.SUPPRESSED: Fate.SUPPRESSED,
    DeliveryStatus.OVERRIDDEN: Fate.OVERRIDDEN,
}


class Left(StrEnum):
    """Why a decision is not an interaction."""

    NOT_DELIVERED = "not_delivered"
    """Failed, suppressed or overridden: the choice was not carried out, its reward is not known."""
    PENDING = "pending"
    """No delivery was reported yet."""
    IMMATURE = "immature"
    """Its attribution window is still open."""
    NO_CHOICE = "no_choice"
    """Nothing was eligible."""
    HOLDOUT = "holdout"
    """Its subject is kept from all sending."""
    UNUSABLE_REWARD = "unusable_reward"
    """Its weighted reward is beyond what can be learned and summed."""
    DAMAGED = "damaged"
    """It cannot be read, or a report on it cannot."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """A delivered decision with its reward, once its attribution window has closed."""

    decision: Decision
    situation: Situation
    path: Path
    """Indices of the choice in the situation's tree."""
    reward: float


@dataclass(frozen=True, slots=True)
class Joined:
    """A decision with its reports: an interaction, or the reason why it is none."""

    logged: LoggedDecision
    interaction: Interaction | None
    left: Left | None
    """None where there is an interaction."""


def fate(logged: LoggedDecision) -> Fate:
    """What became of a decision: what the report says that occurred last.

    Not to send needs no report: without one it counts as carried out.
    """
    if logged.deliveries:
        return FATES[deciding_status(logged.deliveries)]
    return Fate.DELIVERED if is_not_to_send(logged.decision) else Fate.PENDING


def deciding_status(deliveries: Iterable[Delivery]) -> DeliveryStatus:
    """What the report says that decides among those on one decision."""
    return max(deliveries, key=precedence).status


def join(
    logged: Iterable[LoggedDecision],
    rule: RewardRule,
    catalogs: Callable[[str], Catalog],
    as_of_ms: int,
    left: Counter[Left],
) -> Iterator[Interaction]:
    """Yields the interactions of a log, in its order.

    Args:
        logged: decisions with their reports, as `DecisionLog.scan` yields them.
        rule: what counts as reward.
        catalogs: the registered catalogs, by version.
        as_of_ms: Unix time at which windows must have closed.
        left: counts the decisions that are no interactions, by why.
    """
    for one in outcomes(logged, rule, catalogs, as_of_ms):
        if one.left is not None:
            left[one.left] += 1
        if one.interaction is not None:
            yield one.interaction


def outcomes(
    logged: Iterable[LoggedDecision],
    rule: RewardRule,
    catalogs: Callable[[str], Catalog],
    as_of_ms: int,
) -> Iterator[Joined]:
    """Yields every decision of a log, in its order, with what `join` makes of it."""
    for entry in logged:
        reason = _why_left(entry, rule, as_of_ms)
        if reason is not None:
            yield Joined(entry, None, reason)
            continue
        reward = reward_of(entry, rule)
        if not abs(reward) <= REWARD_MAX:
            yield Joined(entry, None, Left.UNUSABLE_REWARD)
            continue
        decision = entry.decision
        situation = situation_of(decision, catalogs(decision.catalog_version))
        yield Joined(entry, Interaction(decision, situation, decision.path, reward), None)


def reward_of(logged: LoggedDecision, rule: RewardRule) -> float:
    """The reward of a decision: each name's values aggregated, weighted, and summed."""
    counted = [reward for reward in logged.rewards if is_counted(reward, logged.decision, rule)]
    if not counted:
        return rule.default
    return _total(
        weight * _aggregated(rule.aggregation, [one for one in counted if one.name == name])
        for name, weight in rule.weights.items()
    )


def is_counted(reward: Reward, decision: Decision, rule: RewardRule) -> bool:
    """Whether a reward has a weight and happened in time."""
    in_time = not is_early(reward, decision) and not is_late(reward, decision, rule)
    return in_time and reward.name in rule.weights


def is_early(reward: Reward, decision: Decision) -> bool:
    """Whether a reward happened before its decision, by more than clocks differ."""
    return reward.occurred_at_ms < opens_at_ms(decision.decided_at_ms)


def is_late(reward: Reward, decision: Decision, rule: RewardRule) -> bool:
    """Whether a reward happened after the attribution window had closed."""
    return reward.occurred_at_ms > closes_at_ms(decision.decided_at_ms, rule)


def opens_at_ms(decided_at_ms: Times) -> Times:
    """When the attribution windows of decisions open, given when they were made."""
    return decided_at_ms - CLOCK_TOLERANCE_MS


def closes_at_ms(decided_at_ms: Times, rule: RewardRule) -> Times:
    """When the attribution windows of decisions close, given when they were made."""
    return decided_at_ms + rule.attribution_days * DAY_MS


def has_support(decision: Decision) -> bool:
    """Whether every eligible action had a chance, so that the decision can speak for any policy.

    A fixed rule's decisions only tell what the rule itself earns, in whatever arm it answers.
    """
    return not any(0.0 in stage.pmf for stage in decision.stages)


def is_not_to_send(decision: Decision) -> bool:
    """Whether nothing is to be sent, since nothing could be chosen or that was the choice."""
    return not decision.stages or is_no_send(decision.tree, decision.stages[0].chosen)


def _why_left(logged: LoggedDecision, rule: RewardRule, as_of_ms: int) -> Left | None:
    decision, found = logged.decision, fate(logged)
    if decision.arm == Arm.HOLDOUT:
        return Left.HOLDOUT
    if not decision.stages:
        return Left.NO_CHOICE
    if found is Fate.PENDING:
        return Left.PENDING
    if found is not Fate.DELIVERED:
        return Left.NOT_DELIVERED
    return Left.IMMATURE if closes_at_ms(decision.decided_at_ms, rule) > as_of_ms else None


def _total(values: Iterable[float]) -> float:
    """A sum from left to right; `sum` compensates in newer versions of Python, others do not."""
    return reduce(add, values, 0.0)


def _when(report: Reward) -> tuple[int, int]:
    return report.occurred_at_ms, report.received_at_ms


def _aggregated(how: str, rewards: Sequence[Reward]) -> float:
    """One value of several rewards of one name; 0 of none."""
    values = [reward.value for reward in sorted(rewards, key=_when)]
    return AGGREGATIONS[how](values) if values else 0.0


AGGREGATIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "sum": _total,
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "max": max,
    "min": min,
}
