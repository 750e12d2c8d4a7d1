"""What metrics are told apart by: arm, offer, channel, hour of sending, and features."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from decisionlog import FeatureValue
from policy.rollout import Arm
from policy.situation import Stage
from replay.join import Interaction

GROUPS_MAX = 500
"""Of one dimension; of more so many by lot, and the others are one group."""
OTHERS = "(others)"
ABSENT = "(absent)"
SMALL = 20
"""Whole numbers up to here are groups of their own; others are told apart by powers of two."""
SEGMENTS_LOOKED_AT = 2000
SEGMENTS_SHOWN = 3
SEGMENT_VALUES = range(2, 13)
"""A feature with so many values makes a table that people read."""

GroupOf = Callable[[Interaction], str]


def _arm(one: Interaction) -> str:
    return Arm(one.decision.arm).name.lower()


def _offer(one: Interaction) -> str:
    return one.decision.tree[one.path[Stage.OFFER]][0]


def _channel(one: Interaction) -> str:
    channels = one.decision.tree[one.path[Stage.OFFER]][1]
    return channels[one.path[Stage.CHANNEL]][0]


def _hour(one: Interaction) -> str:
    """Hour of the chosen window's start, in the subject's zone."""
    window = one.situation.windows(one.path)[one.path[Stage.SEND_TIME]]
    return f"{one.decision.grid.local_minutes[window] // 60 % 24:02d}:00"


DIMENSIONS: Mapping[str, GroupOf] = MappingProxyType(
    {"arm": _arm, "offer": _offer, "channel": _channel, "hour": _hour}
)


def by_segment(feature: str) -> GroupOf:
    """Tells decisions apart by a feature of the request."""
    return lambda one: segment(one.decision.features.get(feature))


def segment(value: FeatureValue | None) -> str:
    """The group of a feature's value."""
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if value == round(value) and abs(value) <= SMALL:
        return f"{value:g}"
    return _between_powers(value)


def default_segments(interactions: Iterable[Interaction]) -> tuple[str, ...]:
    """Features that make a short table: categories and flags with a few values, by name.

    Args:
        interactions: the first of a log are looked at.
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for place, one in enumerate(interactions):
        if place == SEGMENTS_LOOKED_AT:
            break
        for name, value in one.decision.features.items():
            if isinstance(value, str | bool):
                found[name].add(segment(value))
    fitting = sorted(name for name, values in found.items() if len(values) in SEGMENT_VALUES)
    return tuple(fitting[:SEGMENTS_SHOWN])


def _between_powers(value: float) -> str:
    low = 2.0 ** math.floor(math.log2(abs(value)))
    return f"{low:g} to {2 * low:g}" if value > 0 else f"{-2 * low:g} to {-low:g}"
