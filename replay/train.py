"""Trains a policy on a log, in one pass after a first look at the rewards."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np

from decisionlog import Decision
from policy.best_so_far import BestSoFar
from policy.catalog import Catalog
from policy.draw import hashed
from policy.exploration import Exploration
from policy.extent import Extent
from policy.learned import Kind, Learned
from policy.learning import Student, terms_of
from policy.registry import Manifest, Registry, Training
from policy.tokens import example_text
from replay.errors import NothingToLearnError
from replay.join import Interaction

READINGS = 2
"""How often a log is read, for progress."""
CAUTIONS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Steps that fit one log are too large for another. Which do is told by how well students foresee
each interaction of the later half before they learn from it (progressive validation; Blum, Kalai
and Langford 1999)."""


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
    kind: Kind = Kind.CHAIN,
    on_progress: Callable[[int], None] | None = None,
) -> Trained:
    """Trains a policy and registers it.

    Args:
        interactions: gives them anew for each of `READINGS`, the same ones in the same order.
        catalog: its reward is what is learned, its exploration what the policy will use.
        registry: where the policy is stored.
        created_at: goes to the manifest.
        held_out_share: share of the subjects to leave for evaluation.
        kind: of policy.
        on_progress: called with the interactions read since the last call.

    Raises:
        NothingToLearnError: if there are no interactions.
    """
    found = _looked_through(_reported(interactions(), on_progress), held_out_share)
    trainee = _TRAINEES[kind](catalog.exploration, found.extent)
    for interaction in _reported(interactions(), on_progress):
        if not is_held_out(interaction.decision, held_out_share):
            trainee.learn(interaction)
    learned, caution = trainee.best()
    training = Training(
        catalog=catalog.version,
        until=found.until.hex(),
        held_out_share=held_out_share,
        caution=caution,
    )
    manifest = registry.register(learned, training, created_at)
    trainee.close()
    return Trained(manifest, found.extent.count, found.held_out)


@dataclass(slots=True)
class _Log:
    """What a log has, known before anything is learned from it."""

    extent: Extent
    """Of what is to be learned."""
    held_out: int = 0
    until: bytes = b""


def _looked_through(interactions: Iterable[Interaction], held_out_share: float) -> _Log:
    found = _Log(Extent())
    for one in interactions:
        found.until = max(found.until, one.decision.decision_id)
        if is_held_out(one.decision, held_out_share):
            found.held_out += 1
        else:
            found.extent.add(one.reward, terms_of(one.situation, one.path))
    if not found.extent.count:
        raise NothingToLearnError
    return found


class _Trainee(Protocol):
    """Learns from a log, and says what of it is to be kept."""

    def learn(self, interaction: Interaction) -> None:
        """Learns from an interaction."""

    def best(self) -> tuple[Learned, float]:
        """What is to be registered, and the caution it learned with."""

    def close(self) -> None:
        """Frees what was not registered as well."""


class _Candidates:
    """Students that learn the same with different caution, and how well each foresaw it."""

    def __init__(self, exploration: Exploration, extent: Extent) -> None:
        self.students = [
            Student(exploration, extent.scale, extent.terms, caution) for caution in CAUTIONS
        ]
        self._early = extent.count // 2
        self._seen = 0
        self._sums = np.zeros(len(CAUTIONS))
        self._products = np.zeros((len(CAUTIONS), len(CAUTIONS)))

    def learn(self, interaction: Interaction) -> None:
        """Learns from an interaction; from the middle of the log on, what was expected counts."""
        text, reward = example_text(interaction.situation, interaction.path), interaction.reward
        losses = np.asarray([student.learn_text(text, reward) for student in self.students])
        self._seen += 1
        if self._seen > self._early:
            self._sums += losses
            self._products += losses[:, None] * losses

    def best(self) -> tuple[Student, float]:
        """The student to keep, and its caution."""
        index = self._most_cautious()
        return self.students[index], CAUTIONS[index]

    def close(self) -> None:
        """Frees what they hold."""
        for student in self.students:
            student.close()

    def _most_cautious(self) -> int:
        """The most cautious of those that foresaw no worse than the best, as far as can be told.

        No worse is a mean loss within one standard error of the difference (the rule of Breiman et
        al. 1984, section 3.4.3).
        """
        count = self._seen - self._early
        means, best = self._sums / count, int(self._sums.argmin())
        squares = np.diag(self._products) - 2.0 * self._products[best] + self._products[best, best]
        differences = means - means[best]
        variances = np.maximum(squares / count - differences**2, 0.0)
        return int(np.flatnonzero(differences <= np.sqrt(variances / count))[-1])


class _Means:
    """A best so far, which takes every log as it is: caution would change nothing."""

    def __init__(self, exploration: Exploration, _extent: Extent) -> None:
        self._policy = BestSoFar(Kind.BEST_SO_FAR, exploration)

    def learn(self, interaction: Interaction) -> None:
        """Learns from an interaction."""
        self._policy.learn(interaction.situation, interaction.path, interaction.reward)

    def best(self) -> tuple[BestSoFar, float]:
        """The policy, and no caution."""
        return self._policy, 1.0

    def close(self) -> None:
        """Holds nothing that would have to be freed."""


_TRAINEES: Mapping[Kind, Callable[[Exploration, Extent], _Trainee]] = {
    Kind.CHAIN: _Candidates,
    Kind.BEST_SO_FAR: _Means,
}


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
