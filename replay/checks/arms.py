"""Whether the arms got the shares of the subjects that the rollout gave them (sample ratio)."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from scipy.special import chdtrc

from decisionlog import Decision
from policy.rollout import Arm, Rollout
from replay.verdict import Finding, Verdict

SUBJECTS_KEPT = 65_536
"""Of more subjects a sample is looked at, those with the smallest pseudonyms: it finds what is off
by a hundredth."""
WARN_CHANCE = 5e-4
"""So often would a sound log be blamed (Fabijan et al. 2019 take 5e-4 as well)."""
REFUSE_CHANCE = 1e-6
REFUSE_GAP = 0.05
"""And some arm has to be off by this share of its subjects."""
LEAST_EXPECTED = 5.0
"""The usual least count for a chi-square test; smaller arms are left out of it."""
_KEY_BYTES = 8

Shares = Mapping[Arm, float]


class First(NamedTuple):
    """The first decision for a subject."""

    decision_id: bytes
    arm: int


class ArmCheck:
    """Remembers in which arm each subject came first, of as many subjects as it can hold.

    Pseudonyms are keyed hashes, so that those below a limit are a sample by lot, the same whoever
    takes it and in whatever order; the arm is drawn by another hash.
    """

    def __init__(self) -> None:
        self.limit = 1 << (8 * _KEY_BYTES)
        self.first: dict[int, First] = {}

    def add(self, decisions: Sequence[Decision]) -> None:
        """Takes in decisions."""
        for decision in decisions:
            key = int.from_bytes(decision.subject[:_KEY_BYTES], "big")
            if key < self.limit:
                self._note(key, First(decision.decision_id, decision.arm))
        self._shrink()

    def merge(self, other: "ArmCheck") -> None:
        """Takes in what another one remembers."""
        self.limit = min(self.limit, other.limit)
        for key, first in other.first.items():
            self._note(key, first)
        self.first = {key: first for key, first in self.first.items() if key < self.limit}
        self._shrink()

    def findings(self, rollouts: Sequence[Rollout]) -> Iterator[Finding]:
        """A mismatch, if chance alone would hardly have made it."""
        chance, counts, expected = self._tested(rollouts)
        if chance is None or chance > WARN_CHANCE:
            return
        gap = max(abs(counts[arm] / expected[arm] - 1) for arm in expected)
        is_gross = chance < REFUSE_CHANCE and gap > REFUSE_GAP
        shown = ", ".join(
            f"{arm.name.lower()} {counts[arm]:,} in place of {expected[arm]:,.0f}"
            for arm in expected
        )
        yield Finding(
            Verdict.REFUSE if is_gross else Verdict.WARN,
            f"the arms have other shares of the subjects than the rollout gave them ({shown}; "
            f"chance alone: {chance:.1g}): decisions of some arm are missing or came twice",
        )

    def to_json(self, rollouts: Sequence[Rollout]) -> Mapping[str, Any]:
        """Counts and the test's chance."""
        chance, counts, expected = self._tested(rollouts)
        return {
            "subjects": len(self.first),
            "p_value": chance,
            "counts": {arm.name.lower(): counts[arm] for arm in expected},
            "expected": {arm.name.lower(): share for arm, share in expected.items()},
        }

    def _tested(
        self, rollouts: Sequence[Rollout]
    ) -> tuple[float | None, Counter[Arm], dict[Arm, float]]:
        """Pearson's chi-square test: its chance, None where there is nothing to compare."""
        counts: Counter[Arm] = Counter(Arm(first.arm) for first in self.first.values())
        expected = {
            arm: total
            for arm, total in _expected(self.first.values(), rollouts).items()
            if total >= LEAST_EXPECTED
        }
        if len(expected) < 2:  # noqa: PLR2004 - one arm has everything
            return None, counts, expected
        # Only the arms that are compared: their shares among themselves are what is tested.
        scale = sum(counts[arm] for arm in expected) / sum(expected.values())
        expected = {arm: scale * total for arm, total in expected.items()}
        square = sum((counts[arm] - total) ** 2 / total for arm, total in expected.items())
        return float(chdtrc(len(expected) - 1, square)), counts, expected

    def _note(self, key: int, first: First) -> None:
        known = self.first.get(key)
        if known is None or first < known:
            self.first[key] = first

    def _shrink(self) -> None:
        while len(self.first) > SUBJECTS_KEPT:
            self.limit //= 2
            self.first = {key: first for key, first in self.first.items() if key < self.limit}


def _expected(firsts: Iterable[First], rollouts: Sequence[Rollout]) -> dict[Arm, float]:
    """Sums of the shares that were in force when each subject came first."""
    ordered = sorted(rollouts, key=lambda rollout: rollout.updated_at)
    expected: defaultdict[Arm, float] = defaultdict(float)
    if not ordered:
        return expected
    moments = [int(rollout.updated_at.timestamp() * 1000) for rollout in ordered]
    counted = Counter(
        max(bisect_right(moments, int.from_bytes(first.decision_id[:6], "big")) - 1, 0)
        for first in firsts
    )
    for place, subjects in sorted(counted.items()):
        for share in ordered[place].arms:
            expected[share.arm] += subjects * share.share
    return expected
