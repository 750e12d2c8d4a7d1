"""Joins decisions with what became of them, column by column: what `replay.join` finds, at once.

The rules are those of `replay.join`, on columns; a property of the tests holds both equal.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from decisionlog import DecisionLog
from decisionlog.bulk import DEFAULT_BOUNDS, Bounds, RawSlice, Rows, raw_slices
from decisionlog.codec import decode_delivery
from decisionlog.scan import OnDamage, raise_damage
from policy.catalog import Reward as RewardRule
from replay.bulk import decode
from replay.bulk.decode import Decisions, Reports
from replay.bulk.kernels import Bytes, Ints, Table
from replay.bulk.loops import find_deciding, find_owners
from replay.join import FATES, Fate, closes_at_ms, deciding_status, opens_at_ms

FATE_ORDER: Final = tuple(Fate)
"""Fates by their numbers."""

REPORT_COUNTS: Final = (
    "deliveries_joined",
    "deliveries_orphaned",
    "rewards_in_time",
    "rewards_early",
    "rewards_late",
    "rewards_orphaned",
)
"""Counts of a `JoinedSlice`: each report is in one of them."""

_FATE = {fate: place for place, fate in enumerate(FATE_ORDER)}
_FATE_OF_STATUS = np.array([-1, *(_FATE[FATES[status]] for status in sorted(FATES))])


@dataclass(frozen=True, slots=True)
class JoinedSlice:
    """A stretch of the log, joined."""

    ids: Bytes
    """Of the decisions, joined, 16 bytes each, in order."""
    fate: Ints
    """Of each decision, by `FATE_ORDER`."""
    deliveries_joined: int
    deliveries_orphaned: int
    """On decisions that the log does not hold, or that are damaged."""
    rewards_in_time: int
    rewards_early: int
    rewards_late: int
    rewards_orphaned: int
    """On decisions that the log does not hold, or that are damaged."""


@dataclass(frozen=True, slots=True)
class _Owned:
    """Reports whose decision is there, in the order of their keys."""

    owners: Ints
    """Places of their decisions."""
    rows: Table
    source: Ints


def joined_slices(  # noqa: PLR0913 - what bounds a reading
    log: DecisionLog,
    rule: RewardRule,
    *,
    start: bytes = b"",
    until: bytes | None = None,
    bounds: Bounds = DEFAULT_BOUNDS,
    on_damage: OnDamage = raise_damage,
) -> Iterator[JoinedSlice]:
    """Yields the log in its order, in bounded memory.

    Args:
        log: where to read.
        rule: says how long rewards are attributed.
        start: the first id, or a `lower_bound`.
        until: the first id that is left out; None: up to the end.
        bounds: of a slice.
        on_damage: told of each damaged record, which is then left out.

    Raises:
        DamagedRecord: by the default `on_damage`.
    """
    for raw in raw_slices(log.store, start=start, until=until, bounds=bounds):
        yield _joined(raw, rule, on_damage)


def _joined(raw: RawSlice, rule: RewardRule, on_damage: OnDamage) -> JoinedSlice:
    decisions = decode.decisions(raw.decisions, on_damage)
    deliveries = decode.deliveries(raw.deliveries, on_damage)
    rewards = decode.rewards(raw.rewards, on_damage)
    delivered, earned = _owned(decisions, deliveries), _owned(decisions, rewards)
    decided, occurred = decisions.decided_at_ms[earned.owners], earned.rows["occurred_at_ms"]
    is_early = occurred < opens_at_ms(decided)
    is_late = ~is_early & (occurred > closes_at_ms(decided, rule))
    return JoinedSlice(
        decisions.ids,
        _fates(decisions, delivered, raw.deliveries),
        deliveries_joined=len(delivered.owners),
        deliveries_orphaned=len(deliveries.rows) - len(delivered.owners),
        rewards_in_time=int((~is_early & ~is_late).sum()),
        rewards_early=int(is_early.sum()),
        rewards_late=int(is_late.sum()),
        rewards_orphaned=len(rewards.rows) - len(earned.owners),
    )


def _fates(decisions: Decisions, delivered: _Owned, rows: Rows) -> Ints:
    fate = np.where(decisions.sends, _FATE[Fate.PENDING], _FATE[Fate.DELIVERED])
    reports, owners = delivered.rows, delivered.owners
    times, status = (reports["occurred_at_ms"], reports["received_at_ms"]), reports["status"]
    deciding, is_tied = np.full(len(fate), -1), np.zeros(len(fate), np.bool_)
    find_deciding(owners, *times, status, deciding, is_tied)
    has_report = deciding >= 0
    fate[has_report] = _FATE_OF_STATUS[status[deciding[has_report]]]
    # Reports that contradict each other about one moment are rare: the codec reads their ids.
    for owner in np.flatnonzero(is_tied).tolist():
        first, end = np.searchsorted(owners, (owner, owner + 1))
        own = [decode_delivery(*rows[row]) for row in delivered.source[first:end].tolist()]
        fate[owner] = _FATE_OF_STATUS[deciding_status(own)]
    return fate


def _owned(decisions: Decisions, reports: Reports) -> _Owned:
    owners = np.zeros(len(reports.rows), np.int64)
    find_owners(decisions.ids, reports.ids, owners)
    ours = np.flatnonzero(owners >= 0)
    return _Owned(owners[ours], reports.rows[ours], reports.source[ours])
