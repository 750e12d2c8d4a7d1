"""Metrics as they are shown: by dimension and group, each with its intervals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from replay.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Cell:
    """One metric of one group."""

    value: float
    interval: tuple[float, float]
    """At the table's level, by itself."""
    simultaneous: tuple[float, float]
    """So wide that all groups of the dimension are covered at once (Bonferroni)."""
    differs: bool
    """Whether the simultaneous interval leaves out the value of all together."""

    def to_json(self) -> dict[str, Any]:
        """For programs; what is infinite is null."""
        return {
            "value": _finite(self.value),
            "interval": [_finite(end) for end in self.interval],
            "simultaneous": [_finite(end) for end in self.simultaneous],
            "differs": self.differs,
        }


@dataclass(frozen=True, slots=True)
class Group:
    """What one group did."""

    name: str
    n: int
    """Interactions."""
    subjects: float
    """Different subjects; within a hundredth if there are many."""
    cells: Mapping[str, Cell]
    """By metric; those that the group knows nothing about are not there."""

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        metrics = {name: cell.to_json() for name, cell in self.cells.items()}
        return {"n": self.n, "subjects": round(self.subjects), "metrics": metrics}


@dataclass(frozen=True, slots=True)
class MetricTable:
    """Metrics of one policy."""

    policy: str
    level: float
    overall: Group
    by: Mapping[str, tuple[Group, ...]]
    """By dimension."""
    verdict: Verdict = Verdict.OK
    reasons: tuple[str, ...] = ()

    @property
    def comparisons(self) -> Mapping[str, int]:
        """By dimension, how many groups its simultaneous intervals cover."""
        return {name: len(groups) for name, groups in self.by.items()}

    def to_json(self) -> dict[str, Any]:
        """The contract of `sendwise metrics`."""
        return {
            "policy": self.policy,
            "level": self.level,
            "overall": self.overall.to_json(),
            "by": {
                name: {group.name: group.to_json() for group in groups}
                for name, groups in self.by.items()
            },
            "comparisons": dict(self.comparisons),
            "verdict": self.verdict.value,
            "reasons": list(self.reasons),
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
