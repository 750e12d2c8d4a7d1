"""Trains a chain on a log, in one pass after a first look at the rewards."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from decisionlog import Decision
from policy.catalog import Catalog
from policy.chain import Scale
from policy.draw import hashed
from policy.exploration import Exploration
from policy.learning import Student, terms_of
from policy.registry import Manifest, Registry, Training
from replay.errors import NothingToLearnError
from replay.join import Interaction

READINGS = 2
"""How often a log is read, for progress."""
CAUTIONS = (1.0, 4.0, 16.0)
"""Steps that fit one log are too large for another. The student that foresaw the later half of the
log best, each interaction before learning from it, is kept (progressive validation; Blum, Kalai and
Langford 1999)."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained policy and what it was trained on."""

    manifest: Manifest
    interactions: int
    """How many it learned from."""
    held_out: int
    """How many were left for evaluation."""


def train(  # noqa: PLR0913 - everything that a training run depends on
    interactions: Callable[[], Iterable[Interaction]],
    catalog: Catalog,
    registry: Registry,
    created_at: datetime,
    *,
    held_out_share: float,
    on_progress: Callable[[int], None] | None = None,
) -> Trained:
    """Trains a chain and registers it.

    Args:
        interactions: gives them anew for each of `READINGS`, the same ones in the same order.
        catalog: its reward is what is learned, its exploration what the chain will use.
        registry: where the chain is stored.
        created_at: goes to the manifest.
        held_out_share: share of the subjects to leave for evaluation.
        on_progress: called with the interactions read since the last call.

    Raises:
        NothingToLearnError: if there are no interactions.
    """
    extent = _extent(_reported(interactions(), on_progress), held_out_share)
    students = _students(catalog.exploration, extent)
    for interaction in _reported(interactions(), on_progress):
        if not is_held_out(interaction.decision, held_out_share):
            for student in students:
                student.learn(interaction)
    best = min(students, key=attrgetter("loss"))
    training = Training(
        catalog=catalog.version,
        until=extent.until.hex(),
        held_out_share=held_out_share,
        caution=best.caution,
    )
    manifest = registry.register(best.student, training, created_at)
    for each in students:
        each.student.close()
    return Trained(manifest, extent.learned, extent.held_out)


@dataclass(slots=True)
class _Extent:
    """What a log has to learn from."""

    low: float = math.inf
    high: float = -math.inf
    learned: int = 0
    held_out: int = 0
    weights: int = 0
    """Of all examples together."""
    until: bytes = b""

    @property
    def scale(self) -> Scale:
        """From the lowest to the highest reward; of one unit where all are equal."""
        return Scale.between(self.low, self.high)

    @property
    def terms(self) -> float:
        """Weights of an example, on average."""
        return self.weights / self.learned


class _Candidate:
    """A student that learns with some caution, and how well it foresaw what it learned."""

    def __init__(self, caution: float, exploration: Exploration, extent: _Extent) -> None:
        self.caution = caution
        self.student = Student(exploration, extent.scale, extent.terms, caution)
        self.loss = 0.0
        self._early = extent.learned // 2

    def learn(self, interaction: Interaction) -> None:
        """Learns from an interaction; from the middle of the log on, what it expected counts."""
        situation, path, reward = interaction.situation, interaction.path, interaction.reward
        loss = self.student.learn(situation, path, reward)
        if self.student.interactions > self._early:
            self.loss += loss


def _students(exploration: Exploration, extent: _Extent) -> list[_Candidate]:
    return [_Candidate(caution, exploration, extent) for caution in CAUTIONS]


def _extent(interactions: Iterable[Interaction], held_out_share: float) -> _Extent:
    """Reads a log once, before anything is learned: a scale has to be known first."""
    extent = _Extent()
    for interaction in interactions:
        extent.until = max(extent.until, interaction.decision.decision_id)
        if is_held_out(interaction.decision, held_out_share):
            extent.held_out += 1
        else:
            extent.learned += 1
            extent.weights += terms_of(interaction.situation, interaction.path)
            extent.low = min(extent.low, interaction.reward)
            extent.high = max(extent.high, interaction.reward)
    if not extent.learned:
        raise NothingToLearnError
    return extent


def is_held_out(decision: Decision, share: float) -> bool:
    """Whether a subject is among those that a training run leaves for evaluation."""
    return hashed(decision.subject, "held out") < share


def is_fresh(training: Training, decision: Decision) -> bool:
    """Whether a policy has not learned from a decision, so that it may be evaluated on it."""
    later = decision.decision_id > bytes.fromhex(training.until)
    return later or is_held_out(decision, training.held_out_share)


def _reported(
    interactions: Iterable[Interaction], on_progress: Callable[[int], None] | None
) -> Iterator[Interaction]:
    for interaction in interactions:
        yield interaction
        if on_progress:
            on_progress(1)
