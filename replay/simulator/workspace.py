"""Vowpal Wabbit for the peers: text in, predictions out.

The second of two modules that import `vowpalwabbit`. `policy.vw` wraps the one learner that
decisions depend on; the peers are other formulations to compare it with, and the service loads none
of them.
"""

from collections.abc import Sequence
from typing import Any

import vowpalwabbit


class Workspace:
    """A plain workspace: every line is parsed for every call."""

    def __init__(self, arguments: str) -> None:
        self._workspace = vowpalwabbit.Workspace(f"{arguments} --quiet")

    def predict(self, lines: Sequence[str]) -> Any:  # noqa: ANN401 - its type follows the options
        """The prediction for a multi-line example."""
        return self._workspace.predict(list(lines))

    def learn(self, lines: Sequence[str]) -> None:
        """Learns from a labelled multi-line example."""
        self._workspace.learn(list(lines))

    def close(self) -> None:
        """Frees the memory."""
        self._workspace.finish()


class ActionWorkspace:
    """A workspace for one set of actions (`--cb_explore_adf`) that parses each action only once.

    A joint set has hundreds of actions, and making an example of a line costs more than VW's own
    work on it. The results are those of `Workspace`, to the last bit.
    """

    def __init__(self, arguments: str) -> None:
        self._workspace = vowpalwabbit.Workspace(f"{arguments} --quiet")
        self._actions: dict[str, vowpalwabbit.Example] = {}

    def predict(self, shared: str, actions: Sequence[str]) -> list[float]:
        """The prediction for each action, in their order; all actions must differ."""
        examples = [self._parse(shared), *map(self._action, actions)]
        found = self._workspace.predict(examples)
        self._workspace.finish_example(examples[:1])
        return list(found)

    def learn(self, shared: str, actions: Sequence[str], chosen: int, label: str) -> None:
        """Learns from the label of the chosen action."""
        fresh = [self._parse(shared), self._parse(f"{label} {actions[chosen]}")]
        examples = [fresh[0], *map(self._action, actions)]
        examples[1 + chosen] = fresh[1]
        self._workspace.learn(examples)
        # Finishing straight after learning crashes; after a prediction on the two it does not.
        self._workspace.predict(fresh)
        self._workspace.finish_example(fresh)

    def close(self) -> None:
        """Frees the memory."""
        for example in self._actions.values():
            self._workspace.predict([example])  # finishing reads a prediction, so there must be one
            self._workspace.finish_example([example])
        self._actions.clear()
        self._workspace.finish()

    def _action(self, line: str) -> vowpalwabbit.Example:
        if line not in self._actions:
            self._actions[line] = self._parse(line)
        return self._actions[line]

    def _parse(self, line: str) -> vowpalwabbit.Example:
        (example,) = self._workspace.parse([line])
        return example
