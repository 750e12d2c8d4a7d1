"""A small world for tests, in which everything about outcomes can be set."""

from collections.abc import Callable, Iterator

import numpy as np

from policy.choice import stage_pmf
from policy.policies import Policy
from policy.situation import Path, Situation, Stage
from replay.simulator.reference import ReferenceWorld, context_of
from replay.simulator.world import Encounter, FloatArray, Outcome


class ScriptedWorld:
    """The situations of the reference world, with outcomes that a test decides."""

    name = "scripted"

    def __init__(self, outcome: Callable[[int], Outcome]) -> None:
        self._world = ReferenceWorld(seed=3)
        self._outcome = outcome
        self._turn = -1

    def encounters(self, rounds: int) -> Iterator[Encounter]:
        """See `World`."""
        return self._world.encounters(rounds)

    def outcome(self, encounter: Encounter, path: Path) -> Outcome:
        """See `World`; what was decided for this turn."""
        assert encounter.truth[path] >= 0.0
        self._turn += 1
        return self._outcome(self._turn)

    def truth(self, situation: Situation) -> FloatArray:
        """See `World`."""
        return self._world.truth(situation)


class Notebook:
    """A learner that writes down what it is told, and when: after how many choices."""

    version = "notebook"

    def __init__(self) -> None:
        self.told: list[tuple[int, float]] = []
        self.choices = 0

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`; always even."""
        self.choices += not path
        count = len(situation.names(path))
        return np.full(count, 1.0 / count)

    def values(self, situation: Situation, path: Path) -> None:
        """See `Policy`."""

    def learn(self, situation: Situation, path: Path, reward: float) -> None:
        """See `Learner`."""
        situation.action(path)  # raises if there is no such action
        self.told.append((self.choices, reward))

    def close(self) -> None:
        """See `Learner`."""


class Leaning:
    """A policy with random pmfs that depend on the situation and the path alone."""

    def __init__(self, seed: int) -> None:
        self.version = f"leaning/{seed}"
        self._seed = seed
        self._pmfs: dict[tuple[int, ...], FloatArray] = {}

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        key = (self._seed, *context_of(situation), len(path), *path)
        if key not in self._pmfs:
            generator = np.random.default_rng(key)
            self._pmfs[key] = generator.dirichlet(np.ones(len(situation.names(path))))
        return self._pmfs[key]

    def values(self, situation: Situation, path: Path) -> None:
        """See `Policy`."""


def joint_pmf(policy: Policy, situation: Situation) -> FloatArray:
    """Probability of every action, shape (offers, channels, windows), by plain loops."""
    offers, channels, windows = (len(situation.names((0,) * stage)) for stage in Stage)
    joint = np.zeros((offers, channels, windows))
    for offer in range(offers):
        for channel in range(channels):
            for window in range(windows):
                stages = [
                    stage_pmf(policy, situation, ())[offer],
                    stage_pmf(policy, situation, (offer,))[channel],
                    stage_pmf(policy, situation, (offer, channel))[window],
                ]
                joint[offer, channel, window] = np.prod(stages)
    return joint
