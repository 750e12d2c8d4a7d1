"""A world with known truth: it asks for decisions, answers them, and knows what each is worth."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from policy.situation import Path, Situation
from replay.simulator.errors import check_range

FloatArray = NDArray[np.float64]

SEED_MAX = 2**31 - 1
ROUNDS_MAX = 10**9


@dataclass(frozen=True, slots=True, eq=False)
class Encounter:
    """One round: somebody for whom a decision is asked."""

    situation: Situation
    truth: FloatArray
    """Expected reward of each action, shape (offers, channels, windows): `truth[path]` is that of
    the action at the end of a path; NaN where the tree has no such path."""
    entropy: int
    """The random bits of this round, below 2**64: every draw of the round, by the world or by a
    policy, is keyed by them and by the draw's purpose, so that all policies meet the same luck."""


class Event(NamedTuple):
    """Something that a subject did, as a delivery system reports it."""

    name: str
    """One of the rewards that the world's catalog weighs."""
    value: float
    """In units of this reward, before any weight."""
    delay_rounds: int = 0
    """Rounds that pass before it happens."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What followed a choice."""

    reward: float
    """What the events are worth together, known once the attribution window has closed."""
    delivered: bool = True
    """False if nothing was sent: then there is nothing to learn from, and the reward is 0."""
    delay_rounds: int = 0
    """Rounds that pass before the attribution window has closed."""
    events: tuple[Event, ...] = ()
    """All that happened, each within the attribution window, in no order."""


class World(Protocol):
    """A world with known truth. The same settings always give the same world, to the last bit."""

    @property
    def name(self) -> str:
        """Under this name `sendwise simulate` finds it."""

    def encounters(self, rounds: int) -> Iterator[Encounter]:
        """The rounds, from the first one on: more rounds only add to fewer."""

    def outcome(self, encounter: Encounter, path: Path) -> Outcome:
        """What follows if the action at the end of `path` is taken."""

    def truth(self, situation: Situation) -> FloatArray:
        """Expected reward of each action of one of its situations; see `Encounter.truth`."""


def round_entropy(seed: int, turn: int) -> int:
    """The random bits of a round: the seed in the upper half, the number of the round below.

    Plain counting is enough, since `policy.draw` hashes them for each purpose.

    Raises:
        OutOfRangeError: if the seed or the round is out of bounds, so that bits would be shared.
    """
    check_range("seed", seed, 0, SEED_MAX)
    check_range("round", turn, 0, ROUNDS_MAX)
    return seed << 32 | turn
