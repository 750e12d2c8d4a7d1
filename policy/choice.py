"""Walks the eligible tree: a pmf and a keyed draw for each stage."""

from dataclasses import dataclass
from math import prod

import numpy as np

from policy.draw import pick, uniform
from policy.policies import FloatArray, Policy
from policy.situation import Path, Situation, Stage

_CERTAIN = np.ones(1)
_CERTAIN.flags.writeable = False  # all stages with one action share it
_LABELS = tuple(stage.label for stage in Stage)


@dataclass(frozen=True, slots=True, eq=False)
class StageChoice:
    """One stage of a choice."""

    pmf: FloatArray
    """Probability of each eligible action, in the order of the tree; shape (actions,)."""
    chosen: int

    @property
    def probability(self) -> float:
        """Probability of the chosen action."""
        return float(self.pmf[self.chosen])


@dataclass(frozen=True, slots=True)
class Choice:
    """One action: an offer, a channel and a send window, and how likely each was."""

    stages: tuple[StageChoice, ...]

    @property
    def path(self) -> Path:
        """Indices of the chosen actions."""
        return tuple(stage.chosen for stage in self.stages)

    @property
    def probability(self) -> float:
        """The action probability: the product of the stages'."""
        return prod(stage.probability for stage in self.stages)


def choose(policy: Policy, situation: Situation, entropy: int) -> Choice:
    """Draws an action from a policy.

    Args:
        policy: gives the pmfs.
        situation: its tree must not be empty.
        entropy: the random bits of the decision id; the same bits always give the same choice.
    """
    stages: list[StageChoice] = []
    path: Path = ()
    for label in _LABELS:
        pmf = stage_pmf(policy, situation, path)
        chosen = pick(pmf, uniform(entropy, label)) if len(pmf) > 1 else 0
        stages.append(StageChoice(pmf, chosen))
        path += (chosen,)
    return Choice(tuple(stages))


def stage_pmf(policy: Policy, situation: Situation, path: Path) -> FloatArray:
    """A policy's pmf after `path`; where there is only one action, nobody need be asked."""
    if situation.count(path) == 1:
        return _CERTAIN
    return policy.pmf(situation, path)


def action_probability(policy: Policy, situation: Situation, path: Path) -> float:
    """Probability with which a policy would choose the action at the end of `path`."""
    return prod(
        float(stage_pmf(policy, situation, path[:stage])[path[stage]]) for stage in range(len(path))
    )
