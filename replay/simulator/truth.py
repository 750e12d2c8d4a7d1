"""Exact values: what policies earn in a world that has finitely many situations."""

from collections.abc import Callable, Iterable
from math import fsum
from typing import Protocol

import numpy as np

from policy.choice import stage_pmf
from policy.policies import Policy
from policy.situation import Path, Situation, Stage
from replay.simulator.world import FloatArray


class FiniteWorld(Protocol):
    """A world of finitely many situations, all equally likely over its whole course."""

    def situations(self) -> tuple[Situation, ...]:
        """All situations; one that comes twice as often stands there twice."""

    def truth(self, situation: Situation) -> FloatArray:
        """See `World.truth`."""


class Oracle:
    """Knows the truth and takes the best action; of equals the first."""

    version = "oracle"

    def __init__(self, truth: Callable[[Situation], FloatArray]) -> None:
        self._truth = truth

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`; all mass is on the best offer, then on its best channel and window."""
        values = self.values(situation, path)
        return np.asarray(np.arange(len(values)) == values.argmax(), dtype=np.float64)

    def values(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`; the later stages are taken to be the best."""
        rest = self._truth(situation)[path][: len(situation.names(path))]
        later = tuple(range(1, rest.ndim))
        return np.asarray(np.nanmax(rest, axis=later), dtype=np.float64)


def policy_value(world: FiniteWorld, policy: Policy) -> float:
    """Expected reward of a decision by a policy: the mean over situations of Σ π(a|x) r(x, a).

    Exact, without any simulation; of a policy as it is now, so that it must not learn meanwhile.
    """
    return _mean(_value(policy, one, world.truth(one)) for one in world.situations())


def best_value(world: FiniteWorld) -> float:
    """Expected reward of the best action of each situation: no policy earns more."""
    return _mean(float(np.nanmax(world.truth(one))) for one in world.situations())


def mean_value(world: FiniteWorld) -> float:
    """Expected reward if every action is equally likely."""
    return _mean(float(np.nanmean(world.truth(one))) for one in world.situations())


def captured(value: float, mean: float, best: float) -> float:
    """Share of the way from the mean over all actions to the best one that a value has gone.

    1 is optimal, 0 as good as chance, less is worse than chance. The arguments may be sums.
    """
    return (value - mean) / (best - mean)


def _value(policy: Policy, situation: Situation, truth: FloatArray, path: Path = ()) -> float:
    if len(path) == len(Stage):
        return float(truth[path])
    return fsum(
        probability * _value(policy, situation, truth, (*path, index))
        for index, probability in enumerate(stage_pmf(policy, situation, path).tolist())
        if probability  # what is never chosen need not be asked about
    )


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return fsum(listed) / len(listed)
