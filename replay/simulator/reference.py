"""The reference world: tastes, channel habits and active hours, with interactions, as logits."""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from policy.catalog import Catalog
from policy.draw import uniform
from policy.eligibility import eligibility
from policy.features import Features
from policy.request import Request
from policy.situation import Path, Situation
from replay.simulator.errors import check_range
from replay.simulator.world import (
    SEED_MAX,
    Encounter,
    Event,
    FloatArray,
    Outcome,
    round_entropy,
)

SEGMENTS, HABITS, HOURS = 6, 4, 5
OFFERS, CHANNELS, WINDOWS = 8, 3, 6
CONTEXTS = (SEGMENTS, HABITS, HOURS)
ACTIONS = (OFFERS, CHANNELS, WINDOWS)
BASE_MAX = 20.0
"""Beyond it (as a negative) no reward would be seen; far beyond, all values would be equal."""
CONTEXT_SEED = 1000
"""Added to the world's seed, it seeds the contexts."""
# A midnight in UTC, so that window k is the k-th part of one day; nothing reads a real clock.
NOW_MS = 1_799_971_200_000
_STEP_MINUTES = 240
_CHUNK = 4096


class Context(NamedTuple):
    """What is known of a subject."""

    segment: int
    habit: int
    hour: int

    @property
    def features(self) -> Features:
        """The context as features of a request: categories."""
        return {name: str(value) for name, value in self._asdict().items()}


class Table(NamedTuple):
    """Effects that depend on a few axes alone."""

    axes: tuple[int, ...]
    """Ascending; those of `tables`."""
    entries: FloatArray
    """Shape as the axes have it."""


class ReferenceWorld:
    """6 segments, 4 habits, 5 active hours; 8 offers on 3 channels in 6 windows; clicks.

    With z the sum of the entries that match context and action in six tables of independent normal
    draws, the reward is 1 with probability 1 / (1 + exp(-(base + z))), otherwise 0.
    """

    name = "reference"

    def __init__(self, base: float = -3.2, seed: int = 0) -> None:
        """Makes the world.

        Args:
            base: logit of the reward where all effects are 0; -3.2 is about 4 clicks in 100.
            seed: of the tables. `CONTEXT_SEED + seed` seeds the contexts; the rewards are keyed by
                `round_entropy` and the purpose "reward".

        Raises:
            OutOfRangeError: if the base is beyond ±`BASE_MAX` or the seed beyond `SEED_MAX`.
        """
        check_range("base", base, -BASE_MAX, BASE_MAX)
        check_range("seed", seed, 0, SEED_MAX)
        self.base = base
        self.seed = seed
        self.catalog = catalog()
        self._truth: FloatArray = expit(base + effects(np.random.default_rng(seed)))
        self._truth.flags.writeable = False
        self._situations = {context: self._situation(context) for context in every_context()}

    def encounters(self, rounds: int) -> Iterator[Encounter]:
        """See `World`."""
        for turn, context in enumerate(contexts(self.seed, rounds)):
            entropy = round_entropy(self.seed, turn)
            yield Encounter(self._situations[context], self._truth[context], entropy)

    def outcome(self, encounter: Encounter, path: Path) -> Outcome:
        """See `World`."""
        if uniform(encounter.entropy, "reward") < encounter.truth[path]:
            return Outcome(1.0, events=(Event("click", 1.0),))
        return Outcome(0.0)

    def truth(self, situation: Situation) -> FloatArray:
        """See `World`; shape (8, 3, 6)."""
        return np.asarray(self._truth[context_of(situation)])

    def situations(self) -> tuple[Situation, ...]:
        """One situation for each of the 120 contexts, all equally likely."""
        return tuple(self._situations.values())

    def _situation(self, context: Context) -> Situation:
        return eligibility(Request(NOW_MS, features=context.features), self.catalog).situation


def effects(generator: np.random.Generator) -> FloatArray:
    """What is added to the base, shape (*CONTEXTS, *ACTIONS): the sum of all tables."""
    return combined(tables(generator))


def tables(generator: np.random.Generator) -> Iterator[Table]:
    """The tables, drawn in this order.

    The axes are segment, habit, hour, offer, channel, window; each table spans the axes it names.
    """
    for axes, sd in (
        ((0, 3), 0.9),  # a segment's taste for an offer
        ((1, 4), 0.9),  # a habit's channel
        ((2, 5), 0.9),  # an active hour's window
        ((3, 4), 0.7),  # an offer suits a channel
        ((4, 5), 0.7),  # a channel suits a window
        ((0, 3, 4), 0.4),  # a taste that depends on the channel
    ):
        shape = [(CONTEXTS + ACTIONS)[axis] for axis in axes]
        yield Table(axes, generator.normal(0.0, sd, shape))


def combined(found: Iterable[Table]) -> FloatArray:
    """The sum of tables over all axes, shape (*CONTEXTS, *ACTIONS)."""
    total = np.zeros(CONTEXTS + ACTIONS)
    for table in found:
        others = [axis for axis in range(total.ndim) if axis not in table.axes]
        total += np.expand_dims(table.entries, others)
    return total


def contexts(seed: int, rounds: int) -> Iterator[Context]:
    """Contexts of the rounds: uniform integers, drawn round by round in the order of `Context`."""
    generator = np.random.default_rng(CONTEXT_SEED + seed)
    for start in range(0, rounds, _CHUNK):
        size = (min(_CHUNK, rounds - start), len(CONTEXTS))
        yield from map(Context._make, generator.integers(CONTEXTS, size=size).tolist())


def context_of(situation: Situation) -> Context:
    """The context that a situation's features tell."""
    return Context(*(int(str(situation.features[name])) for name in Context._fields))


def catalog() -> Catalog:
    """The catalog of the world: every offer on every channel, in every window of a day."""
    channels = [f"channel_{index}" for index in range(CHANNELS)]
    return Catalog.model_validate(
        {
            "schema": 1,
            "name": ReferenceWorld.name,
            "channels": {channel: {} for channel in channels},
            "offers": {f"offer_{index}": {"channels": tuple(channels)} for index in range(OFFERS)},
            "send_times": {"step_minutes": _STEP_MINUTES, "windows": WINDOWS},
            "reward": {"weights": {"click": 1.0}},
        }
    )


def every_context() -> Iterator[Context]:
    """All contexts there are, in order."""
    return map(Context._make, product(*map(range, CONTEXTS)))
