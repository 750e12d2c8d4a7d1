"""Whether messages fail to be delivered more often for some actions than for others."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from scipy.special import chdtrc

from policy.catalog import Reward as RewardRule
from policy.situation import Stage
from replay.join import Fate, Joined, Left, closes_at_ms, fate
from replay.verdict import Finding, Verdict

WARN_CHANCE = 1e-3
"""So often would equal rates look as different by luck."""
WARN_V = 0.05
"""Below it the difference is too small to matter (Cramér's V: 0 for none, 1 for all)."""
UNREPORTED_WARN = 0.05
"""Where one message in twenty is never reported on, what is left may be what the sender liked."""
LEAST_EXPECTED = 5.0
"""The usual least count for a chi-square test; rarer actions are left out of it."""
STAGES: Final = (Stage.OFFER, Stage.CHANNEL)
_UNDELIVERED: Final = frozenset({Fate.FAILED, Fate.SUPPRESSED, Fate.OVERRIDDEN})
_NAMED = 2


class Report(StrEnum):
    """What was reported on a message."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    NONE = "unreported"


class Reports(NamedTuple):
    """Messages with an action."""

    delivered: int
    undelivered: int
    unreported: int

    @property
    def missing(self) -> tuple[int, int]:
        """All of them, and those that no evaluation counts."""
        return sum(self), self.undelivered + self.unreported


class DeliveryCheck:
    """Counts what was delivered and what was not, by offer and by channel.

    What was not delivered is left out of every evaluation. That is harmless if it strikes all
    actions alike, and biased if it does not. Messages that nobody ever reported on are left out as
    well, and count like those that failed once their attribution window has closed: a sender may
    report its successes only. Not to send needs no report.
    """

    def __init__(self, rule: RewardRule, as_of_ms: int) -> None:
        """Nothing counted yet.

        Args:
            rule: says when attribution windows close.
            as_of_ms: Unix time at which they must have.
        """
        self.rule = rule
        self.as_of_ms = as_of_ms
        self.counts: Counter[tuple[Stage, str, Report]] = Counter()

    def add(self, chunk: Sequence[Joined]) -> None:
        """Takes in decisions with their reports."""
        for one in chunk:
            decision, report = one.logged.decision, self._report_of(one)
            if report is None or len(decision.stages) != len(Stage):
                continue
            offer, channels = decision.tree[decision.stages[Stage.OFFER].chosen]
            channel, _ = channels[decision.stages[Stage.CHANNEL].chosen]
            self.counts[Stage.OFFER, offer, report] += 1
            self.counts[Stage.CHANNEL, channel, report] += 1

    def _report_of(self, one: Joined) -> Report | None:
        """None where none was to be expected, or not yet."""
        if one.logged.deliveries:
            is_failed = fate(one.logged) in _UNDELIVERED
            return Report.UNDELIVERED if is_failed else Report.DELIVERED
        closes_at = closes_at_ms(one.logged.decision.decided_at_ms, self.rule)
        is_overdue = one.left is Left.PENDING and closes_at <= self.as_of_ms
        return Report.NONE if is_overdue else None

    def merge(self, other: "DeliveryCheck") -> None:
        """Takes in what another one has counted."""
        self.counts.update(other.counts)

    def findings(self) -> Iterator[Finding]:
        """Too many messages without a report, and the stages at which deliveries fail unequally."""
        if self.unreported_share > UNREPORTED_WARN:
            yield Finding(
                Verdict.WARN,
                f"on {self.unreported_share:.1%} of the messages nobody ever reported, though "
                "their attribution window has closed: they are left out, and if deliveries that "
                "fail are not reported, values tell of those that succeed",
            )
        for stage in STAGES:
            rates = self.rates(stage)
            chance, v = _association(rates)
            if chance < WARN_CHANCE and v > WARN_V:
                shown = _extremes(rates)
                yield Finding(
                    Verdict.WARN,
                    f"deliveries do not fail alike for every {stage.label} ({shown}; Cramér's V "
                    f"{v:.2f}): what was not delivered is left out, so values tell of deliveries "
                    "that succeed",
                )

    @property
    def unreported_share(self) -> float:
        """Share of the messages whose report is overdue; 0 of none."""
        found = self.reports(Stage.OFFER).values()
        total = sum(sum(one) for one in found)
        return sum(one.unreported for one in found) / total if total else 0.0

    def reports(self, stage: Stage) -> dict[str, Reports]:
        """By action."""
        names = sorted({name for at, name, _ in self.counts if at is stage})
        return {
            name: Reports(*(self.counts[stage, name, report] for report in Report))
            for name in names
        }

    def rates(self, stage: Stage) -> dict[str, tuple[int, int]]:
        """By action: messages, and those of them that were not delivered or not reported on."""
        return {name: one.missing for name, one in self.reports(stage).items()}

    def to_json(self) -> Mapping[str, Any]:
        """By stage and action: reported, undelivered, unreported; and the stage's test."""
        stages = {stage.label: self._stage_json(stage) for stage in STAGES}
        return {"unreported_share": self.unreported_share, **stages}

    def _stage_json(self, stage: Stage) -> Mapping[str, Any]:
        chance, v = _association(self.rates(stage))
        actions = {
            name: {
                "reported": one.delivered + one.undelivered,
                "undelivered": one.undelivered,
                "unreported": one.unreported,
            }
            for name, one in self.reports(stage).items()
        }
        return {"p_value": chance, "cramers_v": v, "actions": actions}


def _association(rates: Mapping[str, tuple[int, int]]) -> tuple[float, float]:
    """Chance of Pearson's chi-square test of independence, and Cramér's V; 1 and 0 of nothing."""
    total = sum(n for n, _ in rates.values())
    failed = sum(bad for _, bad in rates.values())
    share = failed / total if total else 0.0
    cells = [(n, bad) for n, bad in rates.values() if n * min(share, 1 - share) >= LEAST_EXPECTED]
    if len(cells) < 2:  # noqa: PLR2004 - nothing to compare
        return 1.0, 0.0
    whole = sum(n for n, _ in cells)
    mean = sum(bad for _, bad in cells) / whole
    square = sum((bad - n * mean) ** 2 / (n * mean * (1 - mean)) for n, bad in cells)
    return float(chdtrc(len(cells) - 1, square)), math.sqrt(square / whole)


def _extremes(rates: Mapping[str, tuple[int, int]]) -> str:
    """The actions with the highest and the lowest rate, of those with enough reports."""
    common = {name: bad / n for name, (n, bad) in rates.items() if n >= LEAST_EXPECTED}
    ordered = sorted(common, key=lambda name: -common[name])
    ends = [ordered[0], ordered[-1]]
    return ", ".join(f"{name} {common[name]:.1%}" for name in ends[:_NAMED])
