"""One Vowpal Wabbit regression whose weights can be read: the only module that imports it."""

import threading
import weakref
from functools import lru_cache
from pathlib import Path

import numpy as np
import vowpalwabbit
from numpy.typing import NDArray

from policy.crosses import DEFAULT, Crosses
from policy.errors import InvalidRewardError

BITS = 18
SIZE = 1 << BITS
# FTRL-proximal (McMahan et al. 2013) with logistic loss: its sums of squared gradients, which it
# keeps for its own step sizes, tell how well each weight is known.
_LEARNER = "--loss_function logistic --ftrl --ftrl_beta 1 --l1 0 --l2 0"
# Unless `--hash all` is given, a number as a name would be its own hash.
_LIMITS = f"-b {BITS} --hash all --min_prediction -50 --max_prediction 50"
# VW's constant feature, and its factor for hashes of crossed features (constant.h, interactions.h).
CONSTANT = 11_650_396 % SIZE
FNV_PRIME = 16_777_619
# VW keeps four floats a weight: weight, z, sum of squared gradients, and one that is unused.
STRIDE_SHIFT = 2
_WEIGHT, _SQUARED_GRADIENTS = 0, 2
HASH_MASK = (SIZE << STRIDE_SHIFT) - 1
"""The bits of a strided hash that reach a weight's place."""

SHARE_MIN = 1e-12
"""A share of a class below this counts as none: VW's parser gets some tiny numbers wrong."""

Weights = NDArray[np.float32]
"""Weights, and their sums of squared gradients; shape (2, 2**18)."""


def new_arguments(crosses: Crosses) -> str:
    """Vowpal Wabbit's arguments for a new model, but for its rate."""
    crossed = [f"{'-q' if len(cross) == 2 else '--cubic'} {cross}" for cross in crosses]  # noqa: PLR2004 - a pair
    return " ".join([_LEARNER, *crossed, _LIMITS])


class Regression:
    """Logistic regression of a reward in [0, 1] on the text of an action in its context.

    A workspace is not thread-safe: a lock makes calls take turns.
    """

    def __init__(self, rate: float, path: Path | None = None, crosses: Crosses = DEFAULT) -> None:
        """Makes a new model, or loads one to go on learning.

        Args:
            rate: FTRL's alpha, above 0; of a loaded model the one that it was made with.
            path: file of a saved model.
            crosses: namespaces of a new model that are crossed; a loaded one has its own.
        """
        # A file keeps weights, sums and crosses, but neither rate nor beta: VW would go on with its
        # own. As a list, since VW would split a line at the spaces of the path.
        arguments = new_arguments(crosses) if path is None else _LEARNER
        source = [] if path is None else ["--initial_regressor", str(path)]
        rates = ["--ftrl_alpha", repr(float(rate))]
        self._workspace = vowpalwabbit.Workspace(
            arg_list=[*source, *arguments.split(), *rates, "--quiet"]
        )
        self.rate = float(rate)
        self._lock = threading.Lock()
        self._free = weakref.finalize(self, self._workspace.finish)
        self._free.atexit = False

    def learn(self, text: str, target: float, weight: float = 1.0, start: float = 0.0) -> float:
        """Updates the model with one example; a fraction counts as a share of both classes.

        Args:
            text: namespaces with their tokens.
            target: from 0 to 1.
            weight: so many examples does it count for.
            start: logit that the model's own is added to.

        Returns:
            The logit of the example before, `start` included.

        Raises:
            InvalidRewardError: if the target is outside; nothing is learned.
        """
        if not 0.0 <= target <= 1.0:
            raise InvalidRewardError(target)
        shares = (("1", target), ("-1", 1.0 - target))
        labels = [
            f"{label} {weight * share!r} {start!r}" for label, share in shares if share > SHARE_MIN
        ]
        with self._lock:
            logits = [self._learn(f"{label} {text}") for label in labels]
        return logits[0]

    def _learn(self, line: str) -> float:
        example = self._workspace.parse(line)
        self._workspace.learn(example)
        logit = float(example.get_simplelabel_prediction())
        self._workspace.finish_example(example)
        return logit

    def predict(self, text: str) -> float:
        """The logit that VW itself gives to an example."""
        with self._lock:
            return float(self._workspace.predict(text))

    def read(self, places: NDArray[np.int64]) -> Weights:
        """What has been learned at some places; shape (2, places)."""
        with self._lock:
            get = self._workspace.get_weight
            found = [
                [get(place, part) for place in places.tolist()]
                for part in (_WEIGHT, _SQUARED_GRADIENTS)
            ]
        return np.asarray(found, dtype=np.float32)

    def save(self, path: Path) -> None:
        """Writes the model to a file."""
        with self._lock:
            self._workspace.save(str(path))

    def close(self) -> None:
        """Frees the model's memory now, not only when nobody has it any more."""
        with self._lock:
            self._free()


@lru_cache(maxsize=1)
def _hasher() -> vowpalwabbit.Workspace:
    """A workspace that only hashes, which changes nothing in it."""
    return vowpalwabbit.Workspace(arg_list=[*new_arguments(DEFAULT).split(), "--quiet"])


@lru_cache(maxsize=65_536)
def token_hash(namespace: str, text: str) -> int:
    """VW's hash of a token, strided and cut to the bits that reach a weight's place."""
    hasher = _hasher()
    hashed: int = hasher.hash_feature(text, hasher.hash_space(namespace))
    return hashed << STRIDE_SHIFT & HASH_MASK
