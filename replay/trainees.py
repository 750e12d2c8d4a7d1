"""What learns from a log, by kind of policy."""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Protocol

from policy.best_so_far import BestSoFar
from policy.crosses import DEFAULT, Crosses
from policy.examples import text_example
from policy.exploration import Exploration
from policy.extent import Extent
from policy.learned import Kind, Learned
from policy.learning import Student, sides_terms
from policy.tokens import example_sides, sides_text
from replay.candidates import Candidates
from replay.join import Interaction


class Trainee(Protocol):
    """Learns from a log, and says what of it is to be kept."""

    def read(self, interaction: Interaction) -> None:
        """Takes in an interaction."""

    def learned(self, on_progress: Callable[[int], None]) -> tuple[Learned, float]:
        """What is to be registered, and the caution it learned with."""

    def close(self) -> None:
        """Frees everything; what was to be registered must be."""


class ChainTrainee:
    """Notes a log's examples, since learning begins only when all its rewards are known."""

    def __init__(
        self, exploration: Exploration, directory: Path, crosses: Crosses = DEFAULT
    ) -> None:
        """Begins with no notes; they lie in a directory, as safe as the log that they repeat."""
        self._crosses = crosses
        self._exploration = exploration
        self._extent = Extent()
        self._notes = TemporaryFile("w+", encoding="ascii", dir=directory)  # noqa: SIM115 - closed below
        self._candidates: Candidates | None = None

    def read(self, interaction: Interaction) -> None:
        """See `Trainee`."""
        sides = example_sides(interaction.situation, interaction.path)
        self._extent.add(interaction.reward, sides_terms(sides, self._crosses))
        self._notes.write(f"{interaction.reward!r} {sides_text(sides)}\n")

    def learned(self, on_progress: Callable[[int], None]) -> tuple[Student, float]:
        """See `Trainee`."""
        self._candidates = Candidates(self._exploration, self._extent, self._crosses)
        self._notes.seek(0)
        for note in self._notes:
            reward, _, text = note.rstrip("\n").partition(" ")
            self._candidates.learn(text_example(text, self._crosses), float(reward))
            on_progress(1)
        return self._candidates.best()

    def close(self) -> None:
        """See `Trainee`."""
        self._notes.close()
        if self._candidates is not None:
            self._candidates.close()


class BestSoFarTrainee:
    """Takes every log as it is: caution would change nothing."""

    def __init__(self, exploration: Exploration, _directory: Path, _crosses: Crosses) -> None:
        """Begins with no tallies."""
        self._policy = BestSoFar(Kind.BEST_SO_FAR, exploration)

    def read(self, interaction: Interaction) -> None:
        """See `Trainee`."""
        self._policy.learn(interaction.situation, interaction.path, interaction.reward)

    def learned(self, _on_progress: Callable[[int], None]) -> tuple[BestSoFar, float]:
        """See `Trainee`."""
        return self._policy, 1.0

    def close(self) -> None:
        """Holds nothing that would have to be freed."""


TRAINEES: Mapping[Kind, Callable[[Exploration, Path, Crosses], Trainee]] = {
    Kind.CHAIN: ChainTrainee,
    Kind.BEST_SO_FAR: BestSoFarTrainee,
}
"""What makes each."""
