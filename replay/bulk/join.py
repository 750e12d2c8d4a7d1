"""Joins decisions with what became of them, column by column: what `replay.join` finds, at once.

The rules are those of `replay.join`, on columns; a property of the tests holds both equal.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from decisionlog import DecisionLog
from decisionlog.bulk import DEFAULT_BOUNDS, Bounds, RawSlice, Rows, raw_slices
from decisionlog.codec import decode_delivery
from decisionlog.scan import OnDamage, raise_damage
from policy.catalog import NO_SEND
from policy.catalog import Reward as RewardRule
from policy.chain import REWARD_MAX
from policy.rollout import Arm
from replay.bulk import decode
from replay.bulk.decode import Decisions, Reports
from replay.bulk.kernels import Ints, Table
from replay.bulk.loops import add_rewards, find_deciding, find_owners
from replay.bulk.texts import Texts
from replay.join import (
    AGGREGATIONS,
    FATES,
    Fate,
    Left,
    closes_at_ms,
    deciding_status,
    opens_at_ms,
)

FATE_ORDER: Final = tuple(Fate)
"""Fates by their numbers."""
LEFT_ORDER: Final = tuple(Left)
"""Reasons by their numbers."""
INTERACTION: Final = -1
"""In the place of a reason."""

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
_LEFT = {left: place for place, left in enumerate(LEFT_ORDER)}
_FATE_OF_STATUS = np.array([-1, *(_FATE[FATES[status]] for status in sorted(FATES))])
_HOW = {name: place for place, name in enumerate(AGGREGATIONS)}


@dataclass(frozen=True, slots=True)
class JoinedSlice:
    """A stretch of the log, joined."""

    decisions: Decisions
    fate: Ints
    """Of each decision, by `FATE_ORDER`."""
    left: Ints
    """Why each decision is no interaction, by `LEFT_ORDER`; `INTERACTION` if it is one."""
    reward: NDArray[np.float64]
    """Of each decision, whatever its fate."""
    deliveries_joined: int
    deliveries_orphaned: int
    """On decisions that the log does not hold."""
    rewards_in_time: int
    rewards_early: int
    rewards_late: int
    rewards_orphaned: int
    """On decisions that the log does not hold."""


@dataclass(frozen=True, slots=True)
class _Owned:
    """Reports whose decision is there, in the order of their keys."""

    owners: Ints
    """Places of their decisions."""
    rows: Table
    name: Ints
    source: Ints


class BulkJoin:
    """Reads a log once, in bounded memory."""

    def __init__(
        self,
        log: DecisionLog,
        rule: RewardRule,
        as_of_ms: int,
        on_damage: OnDamage = raise_damage,
    ) -> None:
        """Reads nothing yet.

        Args:
            log: where to read.
            rule: what counts as reward.
            as_of_ms: Unix time at which attribution windows must have closed.
            on_damage: told of each damaged record, which is then left out.
        """
        self.policies = Texts()
        """Versions of policies by their numbers."""
        self.offers = Texts()
        """Names of offers by their numbers."""
        self._log = log
        self._rule = rule
        self._as_of_ms = as_of_ms
        self._on_damage = on_damage
        self._names = Texts()
        self._weights = np.array(list(rule.weights.values()))
        for name in rule.weights:  # so the first numbers are places among the weights
            self._names.number(name)
        self._no_send = self.offers.number(NO_SEND)

    def slices(
        self, start: bytes = b"", until: bytes | None = None, bounds: Bounds = DEFAULT_BOUNDS
    ) -> Iterator[JoinedSlice]:
        """Yields the log in its order.

        Args:
            start: the first id, or a `lower_bound`.
            until: the first id that is left out; None: up to the end.
            bounds: of a slice.

        Raises:
            DamagedRecord: by the default `on_damage`.
        """
        raws = raw_slices(self._log.store, start=start, until=until, bounds=bounds)
        yield from map(self._joined, raws)

    def _joined(self, raw: RawSlice) -> JoinedSlice:
        decisions = decode.decisions(raw.decisions, self.policies, self.offers, self._on_damage)
        deliveries = decode.deliveries(raw.deliveries, self._on_damage)
        rewards = decode.rewards(raw.rewards, self._names, self._on_damage)
        delivered, earned = _owned(decisions, deliveries), _owned(decisions, rewards)
        fate = self._fates(decisions, delivered, raw.deliveries)
        decided, occurred = decisions.decided_at_ms[earned.owners], earned.rows["occurred_at_ms"]
        is_early = occurred < opens_at_ms(decided)
        is_late = ~is_early & (occurred > closes_at_ms(decided, self._rule))
        reward = self._rewards(len(fate), earned, ~is_early & ~is_late)
        return JoinedSlice(
            decisions,
            fate,
            self._left(decisions, fate, reward),
            reward,
            deliveries_joined=len(delivered.owners),
            deliveries_orphaned=len(deliveries.rows) - len(delivered.owners),
            rewards_in_time=int((~is_early & ~is_late).sum()),
            rewards_early=int(is_early.sum()),
            rewards_late=int(is_late.sum()),
            rewards_orphaned=len(rewards.rows) - len(earned.owners),
        )

    def _fates(self, decisions: Decisions, delivered: _Owned, rows: Rows) -> Ints:
        needs_none = (decisions.stages == 0) | (decisions.offer == self._no_send)
        fate = np.where(needs_none, _FATE[Fate.DELIVERED], _FATE[Fate.PENDING])
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

    def _rewards(
        self, count: int, earned: _Owned, is_in_time: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        counted = np.flatnonzero(is_in_time & (earned.name < len(self._weights)))
        rows, names, owners = earned.rows[counted], earned.name[counted], earned.owners[counted]
        # By time within a name; what is equal stays in the order of the keys.
        order = np.lexsort((rows["received_at_ms"], rows["occurred_at_ms"], names, owners))
        totals = np.zeros(count)
        how = _HOW[self._rule.aggregation]
        values = rows["value"][order]
        add_rewards(how, owners[order], names[order], values, self._weights, totals)
        has_none = np.ones(count, np.bool_)
        has_none[owners] = False
        totals[has_none] = self._rule.default
        return totals

    def _left(self, decisions: Decisions, fate: Ints, reward: NDArray[np.float64]) -> Ints:
        reasons = {
            Left.HOLDOUT: decisions.arm == Arm.HOLDOUT,
            Left.NO_CHOICE: decisions.stages == 0,
            Left.PENDING: fate == _FATE[Fate.PENDING],
            Left.NOT_DELIVERED: fate != _FATE[Fate.DELIVERED],
            Left.IMMATURE: closes_at_ms(decisions.decided_at_ms, self._rule) > self._as_of_ms,
            Left.UNUSABLE_REWARD: ~(np.abs(reward) <= REWARD_MAX),
        }
        numbers = [np.int64(_LEFT[reason]) for reason in reasons]
        return np.select(list(reasons.values()), numbers, np.int64(INTERACTION))


def _owned(decisions: Decisions, reports: Reports) -> _Owned:
    owners = np.zeros(len(reports.rows), np.int64)
    find_owners(decisions.ids, reports.ids, owners)
    ours = np.flatnonzero(owners >= 0)
    return _Owned(owners[ours], reports.rows[ours], reports.name[ours], reports.source[ours])
