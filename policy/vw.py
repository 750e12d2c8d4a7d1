"""One Vowpal Wabbit model: the only module that imports `vowpalwabbit`."""

import threading
import weakref
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import vowpalwabbit
from numpy.typing import NDArray

from policy.errors import InvalidRewardError
from policy.features import number_text

# An example takes up to 31 KiB; this many hold the actions of a large catalog.
CACHED_MAX = 8_192
# Larger rewards overflow beside the largest features, and weights would be NaN for ever; smaller
# ones than the least get lost in VW's parser.
REWARD_MAX = 1e9
REWARD_MIN = 1e-20
# Label probability 1 switches importance weighting off: the exploration asks for plain regression.
_LABEL = "0:{cost}:1 "

_Examples = dict[tuple[str, int], vowpalwabbit.Example]
"""Parsed actions by their text, and which of equal ones."""


class Model:
    """Values of actions in a context, learned from rewards (`--cb_adf`).

    Wrapping examples in Python costs more than VW's own work, so action lines that recur are parsed
    once and kept; the results are those of parsing everything each time. A workspace is not
    thread-safe: a lock makes calls take turns.
    """

    def __init__(self, arguments: str, path: Path | None = None) -> None:
        """Makes a new model, or loads one.

        Args:
            arguments: VW options of a new model; a saved model brings its own.
            path: file of a saved model.
        """
        # As a list, since VW would split a line at the spaces of the path.
        source = ["--initial_regressor", str(path)] if path else arguments.split()
        self._workspace = vowpalwabbit.Workspace(arg_list=[*source, "--quiet"])
        self._actions: _Examples = {}
        self._lock = threading.Lock()
        # Examples are not freed with their workspace. A model may be dropped by whichever call used
        # it last, so it is freed when nobody has it any more, and `close` need not be called.
        self._free = weakref.finalize(self, _free, self._workspace, self._actions)
        self._free.atexit = False

    def values(self, shared: str, actions: Sequence[str]) -> NDArray[np.float64]:
        """Expected reward of each action, shape (actions,).

        Args:
            shared: tokens with their namespaces, such as `|c cplan=gold`.
            actions: the same for each action.
        """
        with self._lock:
            examples = [self._parse(f"shared {shared}"), *self._examples(actions)]
            costs = self._workspace.predict(examples)
            self._workspace.finish_example(examples[:1])
            self._trim()
        return 0.0 - np.asarray(costs, dtype=np.float64)  # not -costs: no one wants to read -0

    def learn(self, shared: str, actions: Sequence[str], chosen: int, reward: float) -> None:
        """Updates the model with the reward of one action.

        Args:
            shared: as in `values`.
            actions: all that could be chosen.
            chosen: index of the one that was.
            reward: within ±`REWARD_MAX`; within `REWARD_MIN` of 0 it counts as 0.

        Raises:
            InvalidRewardError: if the reward would spoil the weights; nothing is learned.
        """
        if not abs(reward) <= REWARD_MAX:
            raise InvalidRewardError(reward)
        with self._lock:
            label = _LABEL.format(cost=number_text(-reward, REWARD_MIN))
            fresh = [self._parse(f"shared {shared}"), self._parse(label + actions[chosen])]
            examples = [fresh[0], *self._examples(actions)]
            examples[chosen + 1] = fresh[1]
            self._workspace.learn(examples)
            # Finishing straight after learning crashes; a prediction on the two first does not.
            self._workspace.predict(fresh)
            self._workspace.finish_example(fresh)
            self._trim()

    def save(self, path: Path) -> None:
        """Writes the model to a file."""
        with self._lock:
            self._workspace.save(str(path))

    @property
    def cached(self) -> int:
        """How many examples are kept."""
        return len(self._actions)

    def close(self) -> None:
        """Frees the model's memory now, not only when nobody has it any more."""
        with self._lock:
            self._free()

    def _examples(self, actions: Sequence[str]) -> list[vowpalwabbit.Example]:
        """The actions' examples, each a different one: VW corrupts memory if one is given twice."""
        if len(set(actions)) == len(actions):
            return [self._example(text, 0) for text in actions]
        seen: Counter[str] = Counter()
        examples = []
        for text in actions:
            examples.append(self._example(text, seen[text]))
            seen[text] += 1
        return examples

    def _example(self, text: str, repeat: int) -> vowpalwabbit.Example:
        example = self._actions.get((text, repeat))
        if example is None:
            example = self._actions[text, repeat] = self._parse(text)
        return example

    def _parse(self, text: str) -> vowpalwabbit.Example:
        (example,) = self._workspace.parse([text])
        return example

    def _trim(self) -> None:
        """Starts the cache anew when it is full: features of single requests made most of it."""
        if len(self._actions) > CACHED_MAX:
            _forget(self._workspace, self._actions)


def _free(workspace: vowpalwabbit.Workspace, actions: _Examples) -> None:
    _forget(workspace, actions)
    workspace.finish()


def _forget(workspace: vowpalwabbit.Workspace, actions: _Examples) -> None:
    for example in actions.values():
        # Finishing reads a prediction that only the first example of a list ever gets; an
        # example without one would crash the process.
        workspace.predict([example])
        workspace.finish_example([example])
    actions.clear()
