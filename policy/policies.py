"""Policies: what turns a situation into the pmf of each stage."""

from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from policy.situation import Path, Situation, Stage

FloatArray = NDArray[np.float64]


class Policy(Protocol):
    """Chooses by chance: a pmf for each stage, given the choices before it."""

    @property
    def version(self) -> str:
        """Name under which decisions are logged; the same name always means the same policy."""

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """Probability of each eligible action after `path`, in the order of the tree.

        Returns:
            Shape (actions,); sums to 1 within 1e-9. A pure function of its arguments.
        """

    def values(self, situation: Situation, path: Path) -> FloatArray | None:
        """Expected reward of each eligible action, shape (actions,); None if not estimated."""


Draws = tuple[float, float, float]
"""Numbers in [0, 1), one for each stage."""


class Walk(NamedTuple):
    """A whole path through an eligible tree."""

    path: Path
    pmfs: tuple[FloatArray, ...]
    """Of each stage, as `Policy.pmf` gives it; 1 where there is only one action."""


class Walker(Policy, Protocol):
    """A policy that can do all stages at once, which is faster."""

    def walk_tree(self, situation: Situation, path: Path, draws: Draws) -> Walk:
        """Follows `path` and, where it ends, `policy.draw.pick` of each stage's pmf and draw.

        Its pmfs are those of `pmf`, to the last bit.
        """


def as_walker(policy: Policy) -> Walker | None:
    """The policy, if it can do all stages at once."""
    return cast("Walker", policy) if hasattr(policy, "walk_tree") else None


class Uniform:
    """Every eligible action of a stage is equally likely."""

    version = "uniform"

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        return _even(len(situation.names(path)))

    def values(self, situation: Situation, path: Path) -> None:
        """Estimates nothing."""


class Fixed:
    """Always the same offer, and channel if one is given; everything else evenly.

    Where the rule is not eligible, the choice is even among what is: the rule has to answer, and
    must not make up an action that another rule forbids.
    """

    def __init__(self, offer: str, channel: str | None = None) -> None:
        self.version = "/".join(["fixed", offer, *([channel] if channel else [])])
        self._rule = (offer, channel)

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        names = situation.names(path)
        if len(path) < Stage.SEND_TIME and self._rule[len(path)] in names:
            return np.asarray([float(name == self._rule[len(path)]) for name in names])
        return _even(len(names))

    def values(self, situation: Situation, path: Path) -> None:
        """Estimates nothing."""


def _even(count: int) -> FloatArray:
    return np.full(count, 1.0 / count)
