"""Peers of the chain: other ways to put offer, channel and send time to Vowpal Wabbit.

Each explores by VW's own means. VW gives pmfs in float32; here they are normalised in float64.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from policy.choice import action_probability, stage_pmf
from policy.situation import Path, Situation, Stage
from replay.simulator.lines import Label, joint_actions, joint_paths, shared_line, slot_names
from replay.simulator.workspace import ActionWorkspace, Workspace
from replay.simulator.world import FloatArray

SlotLines = Callable[[Situation, Iterable[Label]], list[str]]


class Joint:
    """Every offer x channel x window is an action of one set (`--cb_explore_adf`)."""

    def __init__(self, version: str, arguments: str, *, weighted: bool = True) -> None:
        """Makes a learner that knows nothing.

        Args:
            version: its name.
            arguments: VW's options.
            weighted: whether labels tell VW the true action probability; otherwise they tell 1,
                which switches importance weighting off.
        """
        self.version = version
        self._workspace = ActionWorkspace(arguments)
        self._weighted = weighted
        self._latest: tuple[Situation, FloatArray] | None = None

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`; how the actions after `path` share what the joint pmf leaves to them."""
        paths = joint_paths(situation.tree)
        after = _after(situation, path)
        return _normalised(np.bincount(paths[after, len(path)], self._joint(situation)[after]))

    def values(self, situation: Situation, path: Path) -> None:
        """See `Policy`; VW does not show any."""

    def learn(self, situation: Situation, path: Path, reward: float) -> None:
        """See `Learner`."""
        probability = action_probability(self, situation, path) if self._weighted else 1.0
        chosen = int(_after(situation, path).argmax())
        label = f"0:{Label(chosen, probability, reward).text}"
        self._workspace.learn(*_joint_lines(situation), chosen, label)
        self._latest = None

    def close(self) -> None:
        """See `Learner`."""
        self._workspace.close()

    def _joint(self, situation: Situation) -> FloatArray:
        """The joint pmf, kept until something is learned, since all three stages need it."""
        if self._latest is None or self._latest[0] is not situation:
            self._latest = situation, _normalised(self._workspace.predict(*_joint_lines(situation)))
        return self._latest[1]


class Slots:
    """A slot for each stage, which does not see what the others choose (`--slates`, CCB).

    Where an earlier choice rules an action out, the slot's pmf is spread over the rest: the
    formulation itself has no way to say so.
    """

    def __init__(
        self, version: str, arguments: str, lines: SlotLines, *, weighted: bool = True
    ) -> None:
        """Makes a learner that knows nothing.

        Args:
            version: its name.
            arguments: VW's options.
            lines: the formulation, `slates_lines` or `ccb_lines`.
            weighted: as for `Joint`.
        """
        self.version = version
        self._workspace = Workspace(arguments)
        self._lines = lines
        self._weighted = weighted
        self._latest: tuple[Situation, Sequence[FloatArray]] | None = None

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        return _normalised(self._slots(situation)[len(path)][_places(situation, path)])

    def values(self, situation: Situation, path: Path) -> None:
        """See `Policy`; VW does not show any."""

    def learn(self, situation: Situation, path: Path, reward: float) -> None:
        """See `Learner`."""
        labels = [self._label(situation, path[: stage + 1], reward) for stage in Stage]
        self._workspace.learn(self._lines(situation, labels))
        self._latest = None

    def close(self) -> None:
        """See `Learner`."""
        self._workspace.close()

    def _label(self, situation: Situation, path: Path, reward: float) -> Label:
        earlier, chosen = path[:-1], path[-1]
        weight = stage_pmf(self, situation, earlier)[chosen] if self._weighted else 1.0
        return Label(_places(situation, earlier)[chosen], float(weight), reward)

    def _slots(self, situation: Situation) -> Sequence[FloatArray]:
        """The pmf of each slot, kept until something is learned."""
        if self._latest is None or self._latest[0] is not situation:
            predicted = self._workspace.predict(self._lines(situation, ()))
            self._latest = situation, [_in_order(slot) for slot in predicted]
        return self._latest[1]


def _joint_lines(situation: Situation) -> tuple[str, tuple[str, ...]]:
    return shared_line(situation), joint_actions(situation.tree)


def _after(situation: Situation, path: Path) -> NDArray[np.bool_]:
    """Which of all actions come after `path`, shape (actions,)."""
    return np.asarray((joint_paths(situation.tree)[:, : len(path)] == path).all(axis=1))


def _places(situation: Situation, path: Path) -> list[int]:
    """Where in its slot each action is that is eligible after `path`."""
    slot = slot_names(situation.tree)[len(path)]
    return [slot.index(name) for name in situation.names(path)]


def _in_order(scores: Iterable[tuple[int, float]]) -> FloatArray:
    """Scores by action: VW puts the one that it drew itself, which nobody asked for, first."""
    return np.asarray([score for _, score in sorted(scores)], dtype=np.float64)


def _normalised(mass: ArrayLike) -> FloatArray:
    found = np.asarray(mass, dtype=np.float64)
    return np.asarray(found / found.sum(), dtype=np.float64)
