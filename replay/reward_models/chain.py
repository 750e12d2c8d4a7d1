"""The chain's own learner as a reward model."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path as FilePath

from policy.chain import Chain, Scale
from policy.exploration import Exploration
from policy.policies import FloatArray
from policy.situation import Situation
from policy.vw import Weights
from replay.join import Interaction
from replay.reward_models import leaves
from replay.trainees import ChainTrainee

NAME = "reward-model"


@dataclass(frozen=True, slots=True)
class ChainModel:
    """A chain's weights; can be pickled."""

    weights: Weights
    exploration: Exploration
    scale: Scale
    interactions: int

    def ready(self) -> "ReadyChain":
        """The chain itself, for one process."""
        return ReadyChain(
            Chain(NAME, self.weights, self.exploration, self.scale, self.interactions)
        )


@dataclass(frozen=True, slots=True)
class ReadyChain:
    """Foresees rewards by a chain."""

    chain: Chain

    def values(self, situations: Sequence[Situation]) -> list[FloatArray]:
        """Of all whole actions, in the order of `leaves`."""
        return [leaves.values(self.chain, situation) for situation in situations]


class ChainLearner:
    """Learns a chain from a log; see `Learner`."""

    def __init__(self, exploration: Exploration, directory: FilePath) -> None:
        self._exploration = exploration
        self._trainee = ChainTrainee(exploration, directory)

    def read(self, interaction: Interaction) -> None:
        """See `Learner`."""
        self._trainee.read(interaction)

    def learned(self, on_progress: Callable[[int], None]) -> ChainModel:
        """See `Learner`."""
        student, _ = self._trainee.learned(on_progress)
        chain = student.chain
        return ChainModel(chain.weights, self._exploration, chain.scale, chain.interactions)

    def close(self) -> None:
        """See `Learner`."""
        with closing(self._trainee):
            pass
