"""Walks the eligible tree: a pmf and a keyed draw for each stage."""

from dataclasses import dataclass
from math import prod

import numpy as np

from policy.draw import pick, uniform
from policy.policies import Draws, FloatArray, Policy, Walk, as_walker
from policy.situation import Path, Situation, Stage

_CERTAIN = np.ones(1)
_CERTAIN.flags.writeable = False  # all stages with one action share it
_LABELS = tuple(stage.label for stage in Stage)
_ANY = (0.0, 0.0, 0.0)


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
    offer, channel, window = [uniform(entropy, label) for label in _LABELS]
    walk = walked(policy, situation, (), (offer, channel, window))
    return Choice(tuple(map(StageChoice, walk.pmfs, walk.path)))


def walked(policy: Policy, situation: Situation, path: Path, draws: Draws) -> Walk:
    """The pmfs of all stages along a path, and beyond its end along the draws."""
    if walker := as_walker(policy):
        return walker.walk_tree(situation, path, draws)
    pmfs: list[FloatArray] = []
    for draw in draws:
        stage = len(pmfs)
        pmfs.append(stage_pmf(policy, situation, path[:stage]))
        if len(path) == stage:
            path = (*path, pick(pmfs[-1], draw))
    return Walk(path, tuple(pmfs))


def stage_pmf(policy: Policy, situation: Situation, path: Path) -> FloatArray:
    """A policy's pmf after `path`; where there is only one action, nobody need be asked."""
    if situation.count(path) == 1:
        return _CERTAIN
    return policy.pmf(situation, path)


def path_pmfs(policy: Policy, situation: Situation, path: Path) -> tuple[FloatArray, ...]:
    """The pmfs of all stages along a whole path."""
    return walked(policy, situation, path, _ANY).pmfs


def action_probability(policy: Policy, situation: Situation, path: Path) -> float:
    """Probability with which a policy would choose the action at the end of a whole path."""
    pmfs = path_pmfs(policy, situation, path)
    return prod(float(pmf[chosen]) for pmf, chosen in zip(pmfs, path, strict=True))
