"""Runs a learner in a world: it chooses, the world answers, it learns."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from policy.choice import choose
from policy.situation import Path, Situation
from replay.simulator.errors import check_range
from replay.simulator.learners import Learner
from replay.simulator.truth import captured
from replay.simulator.world import ROUNDS_MAX, Encounter, World

POINTS = 20
"""Points of the curve after its start; `LAST_TENTH` is one of them."""
LAST_TENTH = POINTS * 9 // 10


@dataclass(frozen=True, slots=True)
class Point:
    """Where a run stands after some rounds; the values are sums of expected rewards so far."""

    rounds: int
    chosen: float
    """Of the actions that were chosen."""
    mean: float
    """Of all actions, evenly."""
    best: float
    """Of the best actions."""

    @property
    def regret(self) -> float:
        """Expected reward that was missed so far."""
        return self.best - self.chosen

    @property
    def captured(self) -> float:
        """Captured share of all rounds so far; there must be one at least."""
        return captured(self.chosen, self.mean, self.best)

    def since(self, earlier: "Point") -> float:
        """Captured share of the rounds between an earlier point and this one."""
        return captured(
            self.chosen - earlier.chosen, self.mean - earlier.mean, self.best - earlier.best
        )


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a run was like."""

    learner: str
    world: str
    curve: tuple[Point, ...]
    """The start and up to `POINTS` even steps; the last one is the end."""
    last_tenth: Point
    """Where the last tenth of the rounds began."""
    reward: float
    """Sum of the rewards that the world gave."""
    undelivered: int
    events: Mapping[str, int]
    """What subjects did, how often, by the name of the reward."""
    seconds: float

    @property
    def rounds(self) -> int:
        """How many rounds there were."""
        return self.curve[-1].rounds

    @property
    def captured(self) -> float:
        """Captured share over all rounds, from the first one."""
        return self.curve[-1].captured

    @property
    def captured_last_tenth(self) -> float:
        """Captured share of the last tenth of the rounds: how good the learner has become."""
        return self.curve[-1].since(self.last_tenth)

    @property
    def rounds_per_second(self) -> float:
        """Whole rounds: choosing, the world's answer and learning."""
        return self.rounds / self.seconds

    def to_json(self) -> Mapping[str, Any]:
        """The run as plain values."""
        return {
            "world": self.world,
            "rounds": self.rounds,
            "captured": self.captured,
            "captured_last_tenth": self.captured_last_tenth,
            "rounds_per_second": self.rounds_per_second,
            "regret": self.curve[-1].regret,
            "reward": self.reward,
            "undelivered": self.undelivered,
            "events": dict(self.events),
            "curve": [
                {"rounds": point.rounds, "captured": point.captured, "regret": point.regret}
                for point in self.curve[1:]
            ],
        }


def simulate(
    world: World,
    learner: Learner,
    rounds: int,
    on_progress: Callable[[int], None] | None = None,
    clock_s: Callable[[], float] = time.perf_counter,
) -> Simulation:
    """Runs a learner in a world; the same arguments give the same run to the last bit, but time.

    Args:
        world: where decisions are asked for.
        learner: decides; it learns from each outcome as soon as it is known.
        rounds: from 1 to `ROUNDS_MAX`.
        on_progress: called with the rounds done since the last call.
        clock_s: seconds that have passed since any fixed moment.

    Raises:
        OutOfRangeError: if there are too few rounds, or too many.
    """
    check_range("rounds", rounds, 1, ROUNDS_MAX)
    started_s = clock_s()
    run = _Run(world, learner)
    encounters = world.encounters(rounds)
    points = [run.point()]
    for step in range(1, POINTS + 1):
        for encounter in islice(encounters, rounds * step // POINTS - run.rounds):
            run.meet(encounter)
            if on_progress:
                on_progress(1)
        points.append(run.point())
    return Simulation(
        learner=learner.version,
        world=world.name,
        curve=tuple({point.rounds: point for point in points}.values()),
        last_tenth=points[LAST_TENTH],
        reward=run.reward,
        undelivered=run.undelivered,
        events=dict(run.events),
        seconds=clock_s() - started_s,
    )


class _Due(NamedTuple):
    """An outcome on its way to the learner."""

    at_round: int
    made_in_round: int
    """Breaks ties, so that nothing behind it is ever compared."""
    situation: Situation
    path: Path
    reward: float


class _Run:
    """A run so far."""

    def __init__(self, world: World, learner: Learner) -> None:
        self._world = world
        self._learner = learner
        self._due: list[_Due] = []
        self.rounds = 0
        self.reward = 0.0
        self.undelivered = 0
        self.events = Counter[str]()
        self._sums = np.zeros(3)

    def point(self) -> Point:
        return Point(self.rounds, *self._sums.tolist())

    def meet(self, encounter: Encounter) -> None:
        """One round: choose, count what the choice is worth, learn all that is known by now."""
        path = choose(self._learner, encounter.situation, encounter.entropy).path
        truth = encounter.truth
        self._sums += truth[path], np.nanmean(truth), np.nanmax(truth)
        outcome = self._world.outcome(encounter, path)
        self.reward += outcome.reward
        self.events.update(event.name for event in outcome.events)
        if outcome.delivered:
            at_round = self.rounds + outcome.delay_rounds
            heappush(
                self._due, _Due(at_round, self.rounds, encounter.situation, path, outcome.reward)
            )
        else:
            self.undelivered += 1
        self._learn()
        self.rounds += 1

    def _learn(self) -> None:
        while self._due and self._due[0].at_round <= self.rounds:
            due = heappop(self._due)
            self._learner.learn(due.situation, due.path, due.reward)
