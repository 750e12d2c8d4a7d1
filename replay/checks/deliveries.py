"""Whether messages fail to be delivered more often for some actions than for others."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from scipy.special import chdtrc

from policy.situation import Stage
from replay.join import Fate, Joined, fate
from replay.verdict import Finding, Verdict

WARN_CHANCE = 1e-3
"""So often would equal rates look as different by luck."""
WARN_V = 0.05
"""Below it the difference is too small to matter (Cramér's V: 0 for none, 1 for all)."""
LEAST_EXPECTED = 5.0
"""The usual least count for a chi-square test; rarer actions are left out of it."""
STAGES: Final = (Stage.OFFER, Stage.CHANNEL)
_UNDELIVERED: Final = frozenset({Fate.FAILED, Fate.SUPPRESSED, Fate.OVERRIDDEN})
_NAMED = 2


class DeliveryCheck:
    """Counts what was delivered and what was not, by offer and by channel.

    What was not delivered is left out of every evaluation. That is harmless if it strikes all
    actions alike, and biased if it does not. Only decisions on whose delivery somebody reported
    count: not to send needs no report.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[Stage, str, bool]] = Counter()

    def add(self, chunk: Sequence[Joined]) -> None:
        """Takes in decisions with their reports."""
        for one in chunk:
            decision = one.logged.decision
            if not one.logged.deliveries or len(decision.stages) != len(Stage):
                continue
            failed = fate(one.logged) in _UNDELIVERED
            offer, channels = decision.tree[decision.stages[Stage.OFFER].chosen]
            channel, _ = channels[decision.stages[Stage.CHANNEL].chosen]
            self.counts[Stage.OFFER, offer, failed] += 1
            self.counts[Stage.CHANNEL, channel, failed] += 1

    def merge(self, other: "DeliveryCheck") -> None:
        """Takes in what another one has counted."""
        self.counts.update(other.counts)

    def findings(self) -> Iterator[Finding]:
        """The stages at which deliveries fail unequally."""
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

    def rates(self, stage: Stage) -> dict[str, tuple[int, int]]:
        """By action: reported decisions, and those of them that were not delivered."""
        names = sorted({name for at, name, _ in self.counts if at is stage})
        return {
            name: (
                self.counts[stage, name, False] + self.counts[stage, name, True],
                self.counts[stage, name, True],
            )
            for name in names
        }

    def to_json(self) -> Mapping[str, Any]:
        """By stage and action: reported, undelivered; and the stage's test."""
        return {stage.label: self._stage_json(stage) for stage in STAGES}

    def _stage_json(self, stage: Stage) -> Mapping[str, Any]:
        rates = self.rates(stage)
        chance, v = _association(rates)
        actions = {name: {"reported": n, "undelivered": bad} for name, (n, bad) in rates.items()}
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
