"""How a choice came about: every action that was eligible, its value, its probability, the draw."""

from dataclasses import dataclass
from datetime import UTC, datetime

from policy.choice import stage_pmf
from policy.draw import uniform
from policy.policies import FloatArray, Policy
from policy.situation import Path, Situation, Stage


@dataclass(frozen=True, slots=True)
class ActionExplanation:
    """One eligible action of a stage."""

    name: str
    """Name of the offer or channel, or start of the send window in RFC 3339."""
    value: float | None
    """Reward that the policy expects of it; None if it estimates none."""
    probability: float


@dataclass(frozen=True, slots=True)
class StageExplanation:
    """One stage of a choice."""

    stage: Stage
    draw: float
    """In [0, 1); the first action at which the running sum of the pmf exceeds it is chosen."""
    actions: tuple[ActionExplanation, ...]


def explain(
    policy: Policy, situation: Situation, path: Path, entropy: int
) -> tuple[StageExplanation, ...]:
    """Explains a choice by computing it again.

    Args:
        policy: the one that chose.
        situation: what it saw.
        path: the choice.
        entropy: the random bits of the decision id.
    """
    return tuple(
        StageExplanation(
            stage, uniform(entropy, stage.label), _actions(policy, situation, path[:stage])
        )
        for stage in Stage
    )


def _actions(policy: Policy, situation: Situation, path: Path) -> tuple[ActionExplanation, ...]:
    pmf = stage_pmf(policy, situation, path)
    values = policy.values(situation, path)
    return tuple(
        ActionExplanation(name, value, float(probability))
        for name, value, probability in zip(
            _labels(situation, path), _optional(values, len(pmf)), pmf, strict=True
        )
    )


def _labels(situation: Situation, path: Path) -> tuple[str, ...]:
    if len(path) < Stage.SEND_TIME:
        return situation.names(path)
    times = (situation.grid.send_time_ms(window) / 1000 for window in situation.windows(path))
    return tuple(datetime.fromtimestamp(time, UTC).isoformat() for time in times)


def _optional(values: FloatArray | None, count: int) -> list[float | None]:
    return [None] * count if values is None else [float(value) for value in values]
