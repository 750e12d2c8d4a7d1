"""Vowpal Wabbit for the peers: text in, predictions out.

The second of two modules that import `vowpalwabbit`. `policy.vw` wraps the one learner that
decisions depend on; the peers are other formulations to compare it with, and the service loads none
of them.
"""

from collections.abc import Sequence
from typing import Any

import vowpalwabbit


class Workspace:
    """A plain workspace: every line is parsed for every call, as a user of the library would."""

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
