"""Whether the logged probabilities belong to the logged choices: each action as often as drawn."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from decisionlog import Decision
from policy.situation import Stage, bits
from replay.sums import Floats
from replay.verdict import Finding, Verdict

LEAST_VARIANCE = 10.0
"""In squares of the heaviest draw; below it a count is no normal number, and actions so rare are
counted together."""
WARN_CHANCE, REFUSE_CHANCE = 2.7e-3, 5.7e-7
"""As often would a sound log be blamed: three and five standard errors, over all actions of it."""
WARN_GAP, REFUSE_GAP = 0.01, 0.05
"""Nor is it blamed for being off by less than this share of what was to be expected."""
RARE = "(rare ones)"
SURPRISE = "(surprise)"
"""Stands for how unlikely the choices of a stage were, in nats, in place of how many."""
_NAMED = 3

Names = tuple[str, ...]


@dataclass(slots=True)
class Tally:
    """One action: how often it was chosen, and how often by the probabilities."""

    chosen: float = 0.0
    expected: float = 0.0
    variance: float = 0.0
    """Of the difference, by the probabilities."""
    squares: float = 0.0
    """The same as it was seen, of draws that stand for others: it holds the lot by which those were
    thrown away, which may depend on the choice."""
    heaviest: float = 1.0
    """How many the draw that stands for most stands for."""

    def add(self, other: "Tally") -> None:
        """Takes in another's decisions."""
        self.chosen += other.chosen
        self.expected += other.expected
        self.variance += other.variance
        self.squares += other.squares
        self.heaviest = max(self.heaviest, other.heaviest)

    @property
    def spread(self) -> float:
        """Variance of the difference: the larger of what it should be and what it was."""
        return max(self.variance, self.squares)

    @property
    def is_judged(self) -> bool:
        """Whether there are enough draws to tell."""
        return self.spread >= LEAST_VARIANCE * self.heaviest**2

    @property
    def z(self) -> float:
        """Standard errors between the two."""
        gap = self.chosen - self.expected
        return gap / math.sqrt(self.spread) if self.spread > 0 else 0.0

    @property
    def gap(self) -> float:
        """Distance as a share of what was expected."""
        return abs(self.chosen - self.expected) / max(self.expected, 1.0)


class DrawCheck:
    """Counts choices and sums probabilities, by stage and action.

    With p the pmf of a stage and A the draw from it, 1{A = a} - p(a) has mean 0 and variance
    p(a) (1 - p(a)), whatever the policy and the context: sums over a log are martingales, and near
    normal. So has the surprise -log p(A), beside the entropy of p: it finds probabilities that went
    to other decisions while each action kept its share. A log whose probabilities were mixed up,
    rounded away or replaced fails.

    Where draws were thrown away by a lot of known chance, those that were kept stand for them: each
    counts 1 / (chance that it was kept) times, which leaves the mean at 0.
    """

    def __init__(self) -> None:
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.impossible = 0
        """Choices whose logged probability is zero."""

    def add(self, decisions: Sequence[Decision]) -> None:
        """Takes in decisions; those without a choice tell nothing."""
        drawn = [decision for decision in decisions if len(decision.stages) == len(Stage)]
        for stage in Stage:
            self._add(stage, drawn)

    def merge(self, other: "DrawCheck") -> None:
        """Takes in what another one has counted."""
        for key, tally in other.tallies.items():
            self.tallies.setdefault(key, Tally()).add(tally)
        self.impossible += other.impossible

    def findings(self) -> Iterator[Finding]:
        """The actions that were chosen clearly more or less often than their probabilities say."""
        if self.impossible:
            yield Finding(
                Verdict.REFUSE,
                f"{self.impossible:,} choices have a logged probability of zero: "
                "they were not drawn from what is logged",
            )
        common = self._common()
        verdicts = {key: _verdict(tally, len(common)) for key, tally in common.items()}
        blamed = [key for key, verdict in verdicts.items() if verdict is not Verdict.OK]
        if not blamed:
            return
        blamed.sort(key=lambda key: -abs(common[key].z))
        worst = Verdict.REFUSE if Verdict.REFUSE in verdicts.values() else Verdict.WARN
        shown = "; ".join(_words(key, common[key]) for key in blamed[:_NAMED])
        yield Finding(worst, f"the logged probabilities do not belong to the choices: {shown}")

    def to_json(self) -> Mapping[str, Any]:
        """The action that is furthest off."""
        common = self._common()
        if not common:
            return {"actions": 0, "worst_z": None, "worst": None}
        worst = max(common, key=lambda key: abs(common[key].z))
        tally = common[worst]
        return {
            "actions": len(common),
            "worst_z": tally.z,
            "worst": {
                "stage": worst[0],
                "action": worst[1],
                "chosen": tally.chosen,
                "expected": tally.expected,
            },
        }

    def _add(self, stage: Stage, drawn: Sequence[Decision]) -> None:
        stages = [decision.stages[stage] for decision in drawn]
        # Where there was nothing to draw, there is nothing to learn.
        places = [place for place, one in enumerate(stages) if len(one.pmf) > 1]
        if not places:
            return
        pmfs = [stages[place].pmf for place in places]
        codes: dict[str, int] = {}
        flat = _codes(stage, [drawn[place] for place in places], codes)
        chosen = [stages[place].chosen for place in places]
        self.count(stage.label, Draws(codes, flat, pmfs, chosen))

    def count(self, label: str, draws: "Draws") -> None:
        """Takes in draws of one stage."""
        for name, tally in draws.by_action():
            self.tallies.setdefault((label, name), Tally()).add(tally)
        tally, impossible = draws.surprise()
        self.tallies.setdefault((label, SURPRISE), Tally()).add(tally)
        self.impossible += impossible

    def _common(self) -> dict[tuple[str, str], Tally]:
        """The actions that can be judged, and the others of each stage in one."""
        common: dict[tuple[str, str], Tally] = {}
        for (label, name), tally in self.tallies.items():
            is_rare = not tally.is_judged and name != SURPRISE
            common.setdefault((label, RARE if is_rare else name), Tally()).add(tally)
        return {key: tally for key, tally in common.items() if tally.is_judged}


class Draws:
    """Draws of one stage."""

    def __init__(
        self,
        codes: Mapping[str, int],
        flat: NDArray[np.int64],
        pmfs: Sequence[Sequence[float]],
        chosen: Sequence[int],
        stands_for: Floats | None = None,
    ) -> None:
        """Lays the actions of all draws out, one draw after the other.

        Args:
            codes: a number for each action's name.
            flat: the numbers of the actions of each draw, one draw after the other.
            pmfs: of each draw.
            chosen: index of what was drawn.
            stands_for: how many draws each of them stands for, at least 1; None: for itself.
        """
        self._codes = codes
        self._flat = flat
        self._p = np.fromiter(chain.from_iterable(pmfs), dtype=np.float64, count=len(flat))
        self._sizes = np.fromiter(map(len, pmfs), dtype=np.int64, count=len(pmfs))
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._picked = self._starts + np.asarray(chosen)
        self._stands_for = stands_for
        self._heaviest = 1.0 if stands_for is None else float(stands_for.max())

    def by_action(self) -> Iterator[tuple[str, Tally]]:
        """How often each action was chosen."""
        p, flat, size = self._p, self._flat, len(self._codes)
        many = self._many
        taken, seen = flat[self._picked], p[self._picked]
        chosen = np.bincount(taken, self._stands_for, size)
        expected = np.bincount(flat, many * p, size)
        variance = np.bincount(flat, many**2 * p * (1.0 - p), size)
        squares = np.zeros(size)
        if self._stands_for is not None:
            # (1 - p)^2 of what was chosen and p^2 of the others.
            squares += np.bincount(flat, (many * p) ** 2, size)
            squares += np.bincount(taken, self._stands_for**2 * (1.0 - 2.0 * seen), size)
        for name, code in self._codes.items():
            yield (
                name,
                Tally(
                    float(chosen[code]),
                    float(expected[code]),
                    float(variance[code]),
                    float(squares[code]),
                    self._heaviest,
                ),
            )

    def surprise(self) -> tuple[Tally, int]:
        """How unlikely the choices were, in nats, and how many had no chance at all.

        Those are told by themselves, and have no finite surprise.
        """
        p, starts = self._p, self._starts
        logs = np.zeros(len(p))
        np.log(p, out=logs, where=p > 0)
        entropy = -np.add.reduceat(p * logs, starts)
        variance = np.maximum(np.add.reduceat(p * logs**2, starts) - entropy**2, 0.0)
        possible = p[self._picked] > 0
        seen, mean = -logs[self._picked], entropy
        many = 1.0 if self._stands_for is None else self._stands_for
        squares = 0.0 * seen if self._stands_for is None else (many * (seen - mean)) ** 2
        tally = Tally(
            float((many * seen)[possible].sum()),
            float((many * mean)[possible].sum()),
            float((many**2 * variance)[possible].sum()),
            float(squares[possible].sum()),
            self._heaviest,
        )
        return tally, int(np.count_nonzero(~possible))

    @property
    def _many(self) -> Floats | float:
        """How many draws each action stands for, shape (actions,)."""
        return 1.0 if self._stands_for is None else np.repeat(self._stands_for, self._sizes)


def _codes(stage: Stage, decisions: Sequence[Decision], codes: dict[str, int]) -> NDArray[np.int64]:
    """Numbers for the actions that each decision could take at a stage, one after the other."""
    known: dict[tuple[int, ...], NDArray[np.int64]] = {}
    parts = []
    for decision in decisions:
        # The decisions are held meanwhile, so that no other tree can get the identity of one.
        key = (id(decision.tree), *decision.path[:stage])
        if key not in known:
            names = _names(decision, stage)
            known[key] = np.asarray([codes.setdefault(name, len(codes)) for name in names])
        parts.append(known[key])
    return np.concatenate(parts)


def _names(decision: Decision, stage: Stage) -> Names:
    if stage is Stage.OFFER:
        return tuple(offer for offer, _ in decision.tree)
    channels = decision.tree[decision.stages[Stage.OFFER].chosen][1]
    if stage is Stage.CHANNEL:
        return tuple(channel for channel, _ in channels)
    return tuple(str(window) for window in bits(channels[decision.stages[Stage.CHANNEL].chosen][1]))


def _verdict(tally: Tally, compared: int) -> Verdict:
    """Bonferroni's correction: so many actions are looked at."""
    z = abs(tally.z)
    if z > _quantile(REFUSE_CHANCE / compared) and tally.gap > REFUSE_GAP:
        return Verdict.REFUSE
    is_off = z > _quantile(WARN_CHANCE / compared) and tally.gap > WARN_GAP
    return Verdict.WARN if is_off else Verdict.OK


def _quantile(chance: float) -> float:
    """Two-sided quantile of the normal."""
    return float(-ndtri(chance / 2))


def _words(key: tuple[str, str], tally: Tally) -> str:
    label, name = key
    stage = label.replace("_", " ")
    if name == SURPRISE:
        how = "less" if tally.chosen > tally.expected else "more"
        return (
            f"at the {stage} stage choices were {how} likely than they say "
            f"({abs(tally.z):.1f} standard errors away)"
        )
    return (
        f"{stage} {name} was chosen {tally.chosen:,.0f} times where they say {tally.expected:,.0f} "
        f"({abs(tally.z):.1f} standard errors away)"
    )
