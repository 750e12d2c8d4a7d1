"""Trains a policy on a log."""

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from decisionlog import Decision
from policy.catalog import Catalog
from policy.crosses import crosses_of
from policy.draw import hashed
from policy.learned import Kind
from policy.registry import Manifest, Registry, Training
from replay.errors import NothingToLearnError
from replay.join import Interaction
from replay.trainees import TRAINEES, Trainee


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained policy and what it was trained on."""

    manifest: Manifest
    interactions: int
    """How many it learned from."""
    held_out: int
    """How many were left for evaluation."""


def train(  # noqa: PLR0913 - everything that a training run depends on
    interactions: Iterable[Interaction],
    catalog: Catalog,
    registry: Registry,
    created_at: datetime,
    *,
    held_out_share: float,
    kind: Kind = Kind.CHAIN,
    erased_until_ms: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> Trained:
    """Trains a policy and registers it.

    Args:
        interactions: read once.
        catalog: its reward is what is learned, with what it crosses; its exploration is used.
        registry: where the policy is stored.
        created_at: goes to the manifest.
        held_out_share: share of the subjects to leave for evaluation.
        kind: of policy.
        erased_until_ms: see `Training`; found out before the interactions are read.
        on_progress: called with the interactions learned since the last call; learning begins when
            all are read.

    Raises:
        NothingToLearnError: if there are no interactions.
    """
    advance = on_progress or (lambda _: None)
    crosses = crosses_of(catalog.model.crosses)
    with closing(TRAINEES[kind](catalog.exploration, registry.data_dir, crosses)) as trainee:
        log = _read(interactions, trainee, held_out_share)
        learned, caution = trainee.learned(advance)
        training = Training(
            catalog=catalog.version,
            until=log.until.hex(),
            held_out_share=held_out_share,
            caution=caution,
            erased_until_ms=erased_until_ms,
        )
        manifest = registry.register(learned, training, created_at)
    return Trained(manifest, log.learned, log.held_out)


@dataclass(slots=True)
class _Log:
    """What a log was found to have."""

    learned: int = 0
    held_out: int = 0
    until: bytes = b""


def _read(interactions: Iterable[Interaction], trainee: Trainee, held_out_share: float) -> _Log:
    log = _Log()
    for one in interactions:
        log.until = max(log.until, one.decision.decision_id)
        if is_held_out(one.decision, held_out_share):
            log.held_out += 1
        else:
            log.learned += 1
            trainee.read(one)
    if not log.learned:
        raise NothingToLearnError
    return log


def is_held_out(decision: Decision, share: float) -> bool:
    """Whether a subject is among those that a training run leaves for evaluation."""
    return hashed(decision.subject, "held out") < share


def is_fresh(training: Training, decision: Decision) -> bool:
    """Whether a policy has not learned from a decision, so that it may be evaluated on it."""
    later = decision.decision_id > bytes.fromhex(training.until)
    return later or is_held_out(decision, training.held_out_share)
