"""A policy that keeps all promises, and others that each break one, for the kit to find."""

from itertools import count
from typing import cast

import numpy as np

from policy.policies import FloatArray, Uniform
from policy.situation import Path, Situation


class Sound:
    """It keeps all promises, with a pmf of its own at every stage and now and then no mass."""

    version = "sound"

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`; later actions are likelier, and every third has no mass."""
        weights = np.arange(1.0, len(situation.names(path)) + 1.0)
        weights[1::3] = 0.0
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    def values(self, situation: Situation, path: Path) -> None:
        """See `Policy`."""


class OffByALittle(Uniform):
    """Its pmfs sum to a hair more than 1."""

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        return super().pmf(situation, path) * (1.0 + 3e-9)


class WrongShape(Uniform):
    """It has an action more than there are."""

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        return np.append(super().pmf(situation, path), 0.0)


class Negative(Uniform):
    """Its pmfs sum to 1 and have a probability below 0."""

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        pmf = super().pmf(situation, path)
        if len(pmf) > 1:
            pmf[0] -= 2.0
            pmf[1] += 2.0
        return pmf


class Listed(Uniform):
    """It answers with a list."""

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        return cast("FloatArray", super().pmf(situation, path).tolist())


class BelowItsFloor(Uniform):
    """It declares more support than it gives."""

    floor = 0.5

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        pmf = np.full(len(situation.names(path)), 0.4 / len(situation.names(path)))
        pmf[0] += 0.6
        return pmf


class Restless(Uniform):
    """It changes its mind a little each time it is asked."""

    def __init__(self) -> None:
        self._asked = count(1)

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        weights = np.ones(len(situation.names(path)))
        weights[0] += 1.0 / next(self._asked)
        return np.asarray(weights / weights.sum(), dtype=np.float64)


class Shared(Uniform):
    """It hands out its own array, which callers may then spoil."""

    def __init__(self) -> None:
        self._kept: dict[int, FloatArray] = {}

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        size = len(situation.names(path))
        return self._kept.setdefault(size, super().pmf(situation, path))


class Jumping(Uniform):
    """Half of the time it wants the first action, half of the time any."""

    def __init__(self) -> None:
        self._asked = count()

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        even = super().pmf(situation, path)
        if next(self._asked) % 2:
            even *= 0.2
            even[0] += 0.8
        return even


class Boundless(Sound):
    """Its values are not finite."""

    def values(self, situation: Situation, path: Path) -> FloatArray:  # type: ignore[override]  # the mistake
        """See `Policy`."""
        return np.full(len(situation.names(path)), np.inf)


class Nameless(Uniform):
    """It has no name."""

    version = ""


class Renamed(Uniform):
    """Its name changes whenever it is asked."""

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        self.version += "!"
        return super().pmf(situation, path)


class Meddling(Uniform):
    """It writes into the request that it is asked about."""

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        features = dict(situation.features)
        object.__setattr__(situation, "features", {**features, f"asked_{len(features)}": True})
        return super().pmf(situation, path)


class Fragile(Uniform):
    """It cannot read a feature with a bar in it."""

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        if any("|" in name for name in situation.features):
            raise ValueError("a bar")
        return super().pmf(situation, path)


class Grudging(Uniform):
    """It learns from nothing that cost."""

    def learn(self, _situation: Situation, _path: Path, reward: float) -> None:
        """See `Learner`."""
        if reward < 0.0:
            raise ValueError("a loss")


class Individual(Uniform):
    """No two of it are alike."""

    _made = count(1)

    def __init__(self) -> None:
        self._mine = next(self._made)

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        weights = np.ones(len(situation.names(path)))
        weights[0] += self._mine
        return np.asarray(weights / weights.sum(), dtype=np.float64)


class Halting(Uniform):
    """It cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("no")


class Mute:
    """It is no policy."""

    version = "mute"


NOT_CALLABLE = 1
