"""How a chain learns: Vowpal Wabbit takes an example; its weights are read back, and shrunk."""

from collections.abc import Mapping
from math import exp, isfinite, log1p, prod, sqrt
from pathlib import Path as FilePath

import numpy as np

from policy.blocks import IntArray
from policy.chain import Chain, Scale
from policy.crosses import DEFAULT, Crosses
from policy.errors import InvalidRewardError
from policy.examples import Example, example
from policy.exploration import Exploration
from policy.features import Tokens
from policy.shrinkage import Shrinkage
from policy.situation import Path, Situation
from policy.tokens import example_sides
from policy.vw import SIZE, Regression

UNTRAINED = "untrained"
UNIT = Scale(0.0, 1.0)
TERMS = 34.0
"""Weights of an example with three context features and one name for each choice."""
# All weights of an example move at once: the more there are, the smaller each one's step has to be.
# 0.2 was best for examples of that many weights (docs/decisions/0005).
RATE = 0.2 * TERMS
STALE_MAX = 64
"""After more examples than this, reading all weights is faster than finding those that changed."""


class Student:
    """A chain that goes on learning."""

    def __init__(
        self,
        exploration: Exploration,
        scale: Scale = UNIT,
        terms: float = TERMS,
        caution: float = 1.0,
        *,
        crosses: Crosses = DEFAULT,
    ) -> None:
        """Begins with a chain that has seen nothing: all actions are worth the same.

        Args:
            exploration: how the chain explores.
            scale: of the rewards to come.
            terms: how many weights an example has, typically; `terms_of` counts them.
            caution: steps are smaller by this factor, 1 or more.
            crosses: what is crossed.
        """
        self.exploration = exploration
        self.scale = scale
        self.interactions = 0
        unit = sqrt(scale.dispersion)
        self._weight = 1.0 / unit
        self.crosses = crosses
        self._regression = Regression(RATE / terms / caution * unit, crosses=crosses)
        # In memory a weight lies beside its sum of squares: see `policy.blocks.Table`.
        self._weights = np.zeros((2, SIZE), dtype=np.float32, order="F")
        self._shrinkage = Shrinkage(self._regression.rate)
        self._stale: list[IntArray] | None = []
        self._chain: Chain | None = None

    @property
    def chain(self) -> Chain:
        """What has been learned so far; to be asked for anew after learning."""
        if self._chain is None:
            self._read_back()
            self._chain = Chain(
                UNTRAINED,
                self._weights,
                self.exploration,
                self.scale,
                self.interactions,
                crosses=self.crosses,
            )
        return self._chain

    def learn(self, situation: Situation, path: Path, reward: float) -> float:
        """Learns what an action has earned.

        Args:
            situation: what was known.
            path: the whole choice.
            reward: within the scale; what lies outside counts as its nearest end.

        Returns:
            The logistic loss of what was expected before, in nats: the smaller, the better.

        Raises:
            InvalidRewardError: if the reward is not finite; nothing is learned.
        """
        return self.learn_example(example(situation, path, self.crosses), reward)

    def learn_example(self, example: Example, reward: float) -> float:
        """Does as `learn`, given an action's example with the same crosses."""
        if not isfinite(reward):
            raise InvalidRewardError(reward)
        share, start = self.scale.share(reward), self.scale.start
        logit = self._regression.learn(example.text, share, self._weight, start)
        is_changed = self._shrinkage.learn(example.terms, share, self._weight, start)
        self.interactions += 1
        self._chain = None
        if is_changed or self._stale is None or len(self._stale) >= STALE_MAX:
            self._stale = None
        else:
            self._stale.append(example.terms.places)
        return max(logit, 0.0) + log1p(exp(-abs(logit))) - share * logit

    def save(self, path: FilePath) -> None:
        """Writes the regression to a file of Vowpal Wabbit's own format."""
        self._regression.save(path)

    def close(self) -> None:
        """Frees the regression's memory."""
        self._regression.close()

    def _read_back(self) -> None:
        stale, self._stale = self._stale, []
        if stale is None:
            places: IntArray = np.arange(SIZE)
        elif stale:
            places = np.unique(np.concatenate(stale))
        else:
            return
        # A chain that was given out before keeps the weights that it had.
        self._weights = self._weights.copy(order="K")
        self._weights[:, places] = self._shrinkage.shrunk(self._regression.read(places), places)


def terms_of(situation: Situation, path: Path, crosses: Crosses = DEFAULT) -> int:
    """How many weights the example of an action has, were there no collisions."""
    return sides_terms(example_sides(situation, path), crosses)


def sides_terms(sides: Mapping[str, Tokens], crosses: Crosses = DEFAULT) -> int:
    """Does as `terms_of`, given an action's `example_sides`."""
    sizes = {name: len(tokens) for name, tokens in sides.items()}
    crossed = [prod([sizes[name] for name in cross]) for cross in crosses]
    return 1 + sum(sizes.values()) + sum(crossed)


def touched(situation: Situation, path: Path, crosses: Crosses = DEFAULT) -> IntArray:
    """Places of the weights of one example: those of its tokens and of their crosses."""
    return np.unique(example(situation, path, crosses).terms.places)
