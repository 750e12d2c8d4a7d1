"""Whether rewards have had their time: shares that are still open, and how late rewards come."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from policy.catalog import Reward as RewardRule
from replay.join import DAY_MS, Joined, Left, is_counted, is_late
from replay.verdict import Finding, Verdict

OPEN_WARN = 0.2
"""Where a fifth of the decisions still wait, values tell of another time than today."""
LATE_WARN = 0.05
"""Where one reward in twenty comes too late, the window cuts off what it should count."""
LAST_WARN = 0.1
"""In the last tenth of the window there should come far less than a tenth of the rewards."""
LEAST_REWARDS = 50
BINS = 20
"""Equal parts of the attribution window."""


class MaturityCheck:
    """Counts open windows, and rewards by their delay."""

    def __init__(self, rule: RewardRule) -> None:
        self.rule = rule
        self.decisions = 0
        self.left: Counter[Left] = Counter()
        self.delays = np.zeros(BINS, dtype=np.int64)
        """Rewards of whole windows by delay, in parts of the window."""
        self.late = 0
        """Rewards of whole windows that came after them."""

    def add(self, chunk: Sequence[Joined]) -> None:
        """Takes in decisions with their reports."""
        self.decisions += len(chunk)
        for one in chunk:
            if one.left is not None:
                self.left[one.left] += 1
            elif one.logged.rewards:
                self._add_rewards(one)

    def merge(self, other: "MaturityCheck") -> None:
        """Takes in what another one has counted."""
        self.decisions += other.decisions
        self.left.update(other.left)
        self.delays += other.delays
        self.late += other.late

    def findings(self) -> Iterator[Finding]:
        """What is too young or cut off."""
        if self.open_share > OPEN_WARN:
            yield Finding(
                Verdict.WARN,
                f"{self.open_share:.1%} of the decisions are too young: their attribution window "
                f"of {self.rule.attribution_days:g} days is still open, so that they do not count",
            )
        rewards = int(self.delays.sum())
        if rewards + self.late < LEAST_REWARDS:
            return
        late = self.late / (rewards + self.late)
        last = int(self.delays[-BINS // 10 :].sum()) / max(rewards, 1)
        if late > LATE_WARN:
            yield Finding(
                Verdict.WARN,
                f"{late:.1%} of the rewards came after the attribution window of "
                f"{self.rule.attribution_days:g} days and do not count",
            )
        elif last > LAST_WARN:
            yield Finding(
                Verdict.WARN,
                f"{last:.1%} of the rewards come in the last tenth of the attribution window of "
                f"{self.rule.attribution_days:g} days: it seems to be too short",
            )

    @property
    def open_share(self) -> float:
        """Share of the delivered decisions that are too young."""
        young = self.left[Left.IMMATURE]
        grown = self.decisions - sum(self.left.values())
        return young / (young + grown) if young else 0.0

    def to_json(self) -> Mapping[str, Any]:
        """The counts, and the middle of the delays in days."""
        return {
            "open_share": self.open_share,
            "rewards": int(self.delays.sum()),
            "late_rewards": self.late,
            "median_delay_days": self.median_days(),
            "delays": self.delays.tolist(),
        }

    def median_days(self) -> float | None:
        """The delay that half of the rewards do not exceed, to a part of the window."""
        total = int(self.delays.sum())
        if not total:
            return None
        part = int(np.searchsorted(np.cumsum(self.delays), (total + 1) // 2))
        return (part + 1) * self.rule.attribution_days / BINS

    def _add_rewards(self, one: Joined) -> None:
        decision = one.logged.decision
        width_ms = self.rule.attribution_days * DAY_MS / BINS
        for reward in one.logged.rewards:
            if is_counted(reward, decision, self.rule):
                delay_ms = max(reward.occurred_at_ms - decision.decided_at_ms, 0)
                self.delays[min(int(delay_ms / width_ms), BINS - 1)] += 1
            elif reward.name in self.rule.weights and is_late(reward, decision, self.rule):
                self.late += 1
