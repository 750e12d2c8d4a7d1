"""Helpers for models: students that learned something random, and all that can be chosen."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from policy.chain import Chain, Scale
from policy.crosses import ALL, DEFAULT, Crosses, crosses_of, word_of
from policy.exploration import Exploration
from policy.learning import Student
from policy.scores import Scores
from policy.situation import Path, Situation, Stage
from policy.vw import Weights
from tests.policy.conformance import paths, stages

LESSONS_MAX = 40
"""Few enough that a student reads back only what they touched, which is fast."""


sets_of_crosses: st.SearchStrategy[Crosses] = st.one_of(
    st.just(DEFAULT),
    st.just(ALL),
    st.sets(st.sampled_from(ALL)).map(lambda found: crosses_of(map(word_of, found))),
)
"""What a model may cross: as a catalog that says nothing, all that can be, or any of it."""


class Lesson(NamedTuple):
    """An example as Vowpal Wabbit reads it, and what came of it."""

    text: str
    target: float


def lessons(seed: int, count: int) -> Iterator[Lesson]:
    """Random examples over few features, so that they recur, and a number that never does."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        context = f"|c cplan={rng.integers(5)} nage:{rng.random()!r}"
        offer = f"|o _offer={rng.integers(3)} tsale |r nfit:{rng.random()!r}"
        action = f"{offer} |n _channel={rng.integers(3)} |w _minute={rng.integers(4)}"
        target = rng.choice([0.0, 1.0, rng.random()])
        yield Lesson(f"{context} {action}", float(target))


def actions(situation: Situation) -> list[Path]:
    """All whole actions."""
    return list(paths(situation, len(Stage)))


@contextmanager
def taught(
    situation: Situation,
    seed: int,
    exploration: Exploration | None = None,
    crosses: Crosses = DEFAULT,
    told: Callable[[Situation], Situation] = lambda situation: situation,
) -> Iterator[Student]:
    """A student that learned random rewards of random actions of a situation.

    Args:
        situation: the actions are its own.
        seed: of actions, rewards and their number.
        exploration: of the student; the default if none is given.
        crosses: of the student.
        told: what the student is told in place of the situation, each time.
    """
    student = Student(exploration or Exploration(), crosses=crosses)
    rng = np.random.default_rng(seed)
    known = actions(situation)
    try:
        for _ in range(int(rng.integers(1, LESSONS_MAX))):
            path = known[rng.integers(len(known))]
            student.learn(told(situation), path, float(rng.choice([0.0, 1.0, rng.random()])))
        yield student
    finally:
        student.close()


def chain_of(
    weights: Weights, exploration: Exploration | None = None, crosses: Crosses = DEFAULT
) -> Chain:
    """A chain with some weights."""
    scale = Scale(0.0, 1.0)
    return Chain("new", weights, exploration or Exploration(), scale, 0, crosses=crosses)


def scored(chain: Chain, situation: Situation) -> list[Scores]:
    """The scores of all stages."""
    return [chain.scores(situation, path) for path in stages(situation)]
