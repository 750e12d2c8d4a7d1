"""Trains a chain on a log, backwards: send time, then channel, then offer."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from decisionlog import Decision
from policy.catalog import Catalog
from policy.draw import hashed
from policy.learning import learn, untrained
from policy.registry import Manifest, Registry, Training
from policy.situation import Stage
from replay.errors import NothingToLearnError
from replay.join import Interaction


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
    passes: int = 1,
    on_progress: Callable[[int], None] | None = None,
) -> Trained:
    """Trains a chain and registers it.

    Args:
        interactions: gives them anew for every pass, the same ones in the same order.
        catalog: its reward is what is learned, its exploration what the chain will use.
        registry: where the chain is stored.
        created_at: goes to the manifest.
        held_out_share: share of the subjects to leave for evaluation.
        passes: how often each stage reads the interactions.
        on_progress: called with the interactions read since the last call, of `passes * 3` times
            as many as there are.

    Raises:
        NothingToLearnError: if there are no interactions.
    """
    chain = untrained(catalog.exploration)
    seen = Counter[bool]()
    until = b""
    for stage in reversed(Stage):
        for _ in range(passes):
            seen.clear()
            for interaction in _reported(interactions(), on_progress):
                decision = interaction.decision
                held_out = is_held_out(decision, held_out_share)
                seen[held_out] += 1
                until = max(until, decision.decision_id)
                if not held_out:
                    learn(chain, stage, interaction.situation, interaction.path, interaction.reward)
    if not seen[False]:
        raise NothingToLearnError
    chain.interactions = seen[False]
    training = Training(
        catalog=catalog.version, until=until.hex(), held_out_share=held_out_share, passes=passes
    )
    manifest = registry.register(chain, training, created_at)
    chain.close()
    return Trained(manifest, seen[False], seen[True])


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
