"""Which rewards count as clicks, conversions, revenue and unsubscriptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from decisionlog import LoggedDecision
from policy.catalog import Catalog
from policy.catalog import Reward as RewardRule
from replay.join import is_early, is_late

COMMON: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "click": ("click", "clicks", "visit", "visits"),
        "conversion": ("conversion", "purchase", "order", "booking", "signup"),
        "revenue": ("revenue", "spend", "amount", "sales"),
        "unsubscribe": ("unsubscribe", "unsubscribed", "unsubscription", "opt_out", "complaint"),
    }
)
"""What rewards are usually called; a catalog that says otherwise is right."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """Names of rewards, by what they tell."""

    click: frozenset[str]
    conversion: frozenset[str]
    revenue: frozenset[str]
    unsubscribe: frozenset[str]


def kinds_of(catalog: Catalog, asked: Mapping[str, Sequence[str]] | None = None) -> Kinds:
    """The names that count.

    Args:
        catalog: its `[metrics]` say what they are; the usual names where it says nothing.
        asked: by kind, what somebody asked for in place of both.
    """
    said = catalog.metrics.model_dump()
    chosen = {
        kind: tuple((asked or {}).get(kind) or said[kind] or usual)
        for kind, usual in COMMON.items()
    }
    return Kinds(**{kind: frozenset(names) for kind, names in chosen.items()})


def happened(logged: LoggedDecision, rule: RewardRule, names: frozenset[str]) -> bool:
    """Whether one of some rewards came in time; one of value 0 or below takes nothing back."""
    return any(
        reward.name in names and reward.value > 0 and _is_timely(logged, rule, place)
        for place, reward in enumerate(logged.rewards)
    )


def total(logged: LoggedDecision, rule: RewardRule, names: frozenset[str]) -> float:
    """Sum of the values of those that came in time."""
    return sum(
        reward.value
        for place, reward in enumerate(logged.rewards)
        if reward.name in names and _is_timely(logged, rule, place)
    )


def _is_timely(logged: LoggedDecision, rule: RewardRule, place: int) -> bool:
    reward, decision = logged.rewards[place], logged.decision
    return not is_early(reward, decision) and not is_late(reward, decision, rule)
