"""The best so far is trained, served, verified and evaluated like a chain."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from policy.best_so_far import BestSoFar
from policy.learned import Kind
from policy.policies import Uniform
from policy.registry import Registry
from replay.train import Trained, is_fresh, train
from replay.verify import Sought, verify
from tests.replay.history import LATER_MS, History, at, history
from tests.replay.worlds import WORLD, live

INTERACTIONS = 400


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """A log of a world with a planted preference."""
    with history(tmp_path_factory.mktemp("world") / "data", WORLD) as past:
        live(past, INTERACTIONS, delivered=0.9)
        yield past


def _trained(past: History, registry: Registry | None = None) -> Trained:
    source = past.source()
    return train(
        source.interactions(),
        source.catalog,
        registry or past.registry,
        at(LATER_MS),
        held_out_share=0.3,
        kind=Kind.BEST_SO_FAR,
    )


def test_its_means_are_those_of_the_log(lived: History) -> None:
    """It learns from each interaction that is not held out, once, and from no other."""
    found = _trained(lived)
    training = found.manifest.training
    rewards = [
        one.reward for one in lived.source().interactions() if not is_fresh(training, one.decision)
    ]
    policy = lived.registry.policy(found.manifest.version)
    assert isinstance(policy, BestSoFar)
    assert policy.extent.count == len(rewards) == found.interactions == found.manifest.interactions
    assert policy.extent.mean == pytest.approx(sum(rewards) / len(rewards))
    assert found.manifest.kind is Kind.BEST_SO_FAR


def test_the_same_log_gives_the_same_version(lived: History, tmp_path: Path) -> None:
    """Bit for bit, wherever it is trained."""
    version = _trained(lived).manifest.version
    assert _trained(lived, Registry(tmp_path)).manifest.version == version


def test_it_is_only_evaluated_on_what_it_has_not_learned(lived: History) -> None:
    """What it was trained on is not fresh to it, as with a chain; a rule has no such limits."""
    target = lived.source().target(_trained(lived).manifest.version)
    fresh = [target.is_fresh(one.decision) for one in lived.source().interactions()]
    assert {True, False} == set(fresh)
    rule = lived.source().target(Uniform.version)
    assert all(rule.is_fresh(one.decision) for one in lived.source().interactions())


def test_what_it_decides_is_verified_exactly(tmp_path: Path) -> None:
    """In force, it answers; all its probabilities and draws are recomputed to the last bit."""
    with history(tmp_path / "data", WORLD) as past:
        live(past, 60)
        version = _trained(past).manifest.version
        past.promote(version)
        live(past, 60)
        made = [one.decision for one in past.log.scan()]
        assert sum(decision.policy_version == version for decision in made) > 20
        found = verify(Sought(past.log, past.registry))
        assert (found.decisions, found.mismatches) == (120, ())
