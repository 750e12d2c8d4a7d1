"""Helpers for models: a plain reference without any cache, and what a model has learned."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import vowpalwabbit
from numpy.typing import NDArray

from policy.vw import Model

ARGUMENTS = "--cb_adf -q ca -q oa -q ra"


class Round(NamedTuple):
    """One thing to score and to learn from."""

    shared: str
    actions: list[str]
    chosen: int
    reward: float


class PlainModel:
    """What `Model` is measured against: every line is parsed anew for every call."""

    def __init__(self, arguments: str = ARGUMENTS) -> None:
        self._workspace = vowpalwabbit.Workspace(f"{arguments} --quiet")

    def values(self, shared: str, actions: Sequence[str]) -> NDArray[np.float64]:
        """See `Model.values`."""
        return -np.asarray(self._workspace.predict([f"shared {shared}", *actions]))

    def learn(self, shared: str, actions: Sequence[str], chosen: int, reward: float) -> None:
        """See `Model.learn`."""
        lines = [f"shared {shared}", *actions]
        lines[chosen + 1] = f"0:{-reward!r}:1 {actions[chosen]}"
        self._workspace.learn(lines)

    def save(self, path: Path) -> None:
        """See `Model.save`."""
        self._workspace.save(str(path))


def rounds(seed: int, count: int) -> Iterator[Round]:
    """Random rounds over few features, so that they recur, and a few that never do."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        picked = rng.permutation(9)[: rng.integers(1, 9)]
        actions = [f"|a _offer={action} |r nfit:{rng.random()!r}" for action in picked[:2]]
        actions += [f"|a _offer={action}" for action in picked[2:]]
        shared = f"|c cplan={rng.integers(5)} nage:{rng.random()!r} |o _offer={rng.integers(3)}"
        yield Round(shared, actions, int(rng.integers(len(actions))), float(rng.normal()))


def learned(model: Model | PlainModel, directory: Path) -> bytes:
    """The weights of a model that was made with `ARGUMENTS`, with the learner's own state.

    They follow a header of fixed length, which also counts the calls that were made.
    """
    new = PlainModel()
    new.save(directory / "new.vw")
    model.save(directory / "saved.vw")
    header_bytes = (directory / "new.vw").stat().st_size
    return (directory / "saved.vw").read_bytes()[header_bytes:]
