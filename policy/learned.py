"""What was learned from a log, by kind: what the registry writes of it, and how it is read."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from policy.best_so_far import BestSoFar, Cell, Tally
from policy.chain import Chain, Scale
from policy.crosses import DEFAULT, Crosses
from policy.errors import DamagedModelError
from policy.exploration import Exploration
from policy.extent import Extent
from policy.learning import Student
from policy.policies import Policy
from policy.vw import SIZE

REGRESSION = "regression.vw"
"""Vowpal Wabbit's own file, for a look with its own tools; it has no rate to learn on with."""
WEIGHTS = "weights.npy"
"""Weights and sums of squared gradients, float32, shape (2, 2**18): what serving reads."""
TALLIES = "tallies.json"
"""Counts and means of a best so far; its numbers are read back to the last bit."""

Learned = Student | BestSoFar


class Kind(StrEnum):
    """What a log can be turned into; a version begins with it."""

    CHAIN = "chain"
    BEST_SO_FAR = "best_so_far"


class Facts(NamedTuple):
    """What a manifest says of any learned policy."""

    exploration: Exploration
    scale: Scale
    interactions: int
    crosses: Crosses = DEFAULT
    """What a chain's regression crosses."""


class _TalliesFile(BaseModel):
    """The content of `TALLIES`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    extent: Extent
    cells: tuple[tuple[Cell, int, float], ...]
    """Cell, interactions and mean, sorted by cell."""


def is_learned(version: str) -> bool:
    """Whether a version names something learned from a log, rather than a rule."""
    return version.rpartition("-")[0] in set(Kind)


def kind_of(learned: Learned) -> Kind:
    """The kind of something learned."""
    return Kind.CHAIN if isinstance(learned, Student) else Kind.BEST_SO_FAR


def facts_of(learned: Learned) -> Facts:
    """What its manifest will say of it; it must have learned something."""
    if isinstance(learned, Student):
        chain = learned.chain
        return Facts(chain.exploration, chain.scale, chain.interactions, chain.crosses)
    return Facts(learned.exploration, learned.extent.scale, learned.extent.count)


def write(learned: Learned, directory: Path) -> tuple[str, ...]:
    """Writes all that makes it into a directory; returns the names of the files."""
    if isinstance(learned, Student):
        learned.save(directory / REGRESSION)
        np.save(directory / WEIGHTS, learned.chain.weights, allow_pickle=False)
        return REGRESSION, WEIGHTS
    (directory / TALLIES).write_text(_tallies_text(learned), encoding="utf-8")
    return (TALLIES,)


def read(kind: Kind, version: str, facts: Facts, directory: Path) -> Policy:
    """Reads what was written, as the policy that it makes.

    Raises:
        DamagedModelError: if a file does not hold what a policy of this kind needs.
    """
    return _READERS[kind](version, facts, directory)


def _read_chain(version: str, facts: Facts, directory: Path) -> Chain:
    weights = np.load(directory / WEIGHTS, allow_pickle=False)
    if weights.shape != (2, SIZE) or weights.dtype != np.float32:
        raise DamagedModelError(version, WEIGHTS)
    if not np.isfinite(weights).all():  # nothing can be chosen by them
        raise DamagedModelError(version, WEIGHTS)
    known = (facts.exploration, facts.scale, facts.interactions)
    return Chain(version, weights, *known, crosses=facts.crosses)


def _read_best_so_far(version: str, facts: Facts, directory: Path) -> BestSoFar:
    try:
        found = _TalliesFile.model_validate_json((directory / TALLIES).read_bytes())
    except ValidationError:
        raise DamagedModelError(version, TALLIES) from None
    tallies = {cell: Tally(count, mean) for cell, count, mean in found.cells}
    return BestSoFar(version, facts.exploration, found.extent, tallies)


def _tallies_text(learned: BestSoFar) -> str:
    """The same learning gives the same text, whatever came first."""
    cells = tuple((cell, *tally) for cell, tally in sorted(learned.tallies.items()))
    content = {"extent": asdict(learned.extent), "cells": cells}
    return _TalliesFile.model_validate(content).model_dump_json(indent=1)


_READERS: Mapping[Kind, Callable[[str, Facts, Path], Policy]] = {
    Kind.CHAIN: _read_chain,
    Kind.BEST_SO_FAR: _read_best_so_far,
}
