"""Training: a planted preference is learned, the same log gives the same policy, some is kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from decisionlog import DeliveryStatus
from policy.chain import Chain
from policy.registry import Registry, Training
from policy.situation import Situation
from replay.candidates import CAUTIONS
from replay.errors import NothingToLearnError
from replay.join import Interaction, Left
from replay.train import Trained, is_fresh, is_held_out, train
from tests.replay.history import LATER_MS, History, at, history
from tests.replay.worlds import WORLD, live

INTERACTIONS = 600


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """A log of a world with a planted preference."""
    with history(tmp_path_factory.mktemp("world") / "data", WORLD) as past:
        live(past, INTERACTIONS, delivered=0.9)
        yield past


def trained(past: History, *, held_out: float = 0.3, registry: Registry | None = None) -> Trained:
    """Trains on the whole log."""
    source = past.source()
    return train(
        source.interactions(),
        source.catalog,
        registry or past.registry,
        at(LATER_MS),
        held_out_share=held_out,
    )


def situations(past: History) -> dict[str, Situation]:
    """One situation of each plan, with both offers to choose from."""
    return {
        str(one.situation.features["plan"]): one.situation for one in past.source().interactions()
    }


def test_a_planted_preference_is_learned(lived: History) -> None:
    """The offer that each plan likes is expected to earn most, and mostly chosen."""
    policy = lived.registry.policy(trained(lived).manifest.version)
    for plan, liked in (("young", "spring"), ("old", "loyal")):
        situation = situations(lived)[plan]
        place = situation.names(()).index(liked)
        values = policy.values(situation, ())
        assert values is not None
        assert values[place] == max(values) > 0.5
        assert policy.pmf(situation, ())[place] > 0.8


def test_the_same_log_gives_the_same_version(lived: History, tmp_path: Path) -> None:
    """Bit for bit, wherever and whenever; another setting gives another."""
    version = trained(lived).manifest.version
    assert trained(lived, registry=Registry(tmp_path)).manifest.version == version
    assert trained(lived, held_out=0.2).manifest.version != version


def test_the_manifest_says_what_was_learned_from(lived: History) -> None:
    """Counts, catalog, share and the last decision that was read."""
    found = trained(lived)
    interactions = list(lived.source().interactions())
    assert found.interactions + found.held_out == len(interactions)
    assert found.manifest.interactions == found.interactions
    assert found.manifest.created_at == at(LATER_MS)
    assert found.manifest.training == Training(
        catalog=lived.source().catalog.version,
        until=interactions[-1].decision.decision_id.hex(),
        held_out_share=0.3,
        caution=found.manifest.training.caution,
    )
    assert found.manifest.training.caution in CAUTIONS
    assert (found.manifest.reward_low, found.manifest.reward_high) == (0.0, 1.0)
    loaded = lived.registry.policy(found.manifest.version)
    assert isinstance(loaded, Chain)
    assert loaded.interactions == found.interactions


def test_held_out_subjects_are_never_learned_from(lived: History, tmp_path: Path) -> None:
    """Whatever they did: with their rewards turned round the policy is the same."""

    def turned() -> Iterator[Interaction]:
        for one in lived.source().interactions():
            is_kept = is_held_out(one.decision, 0.3)
            reward = 1.0 - one.reward if is_kept else one.reward
            yield Interaction(one.decision, one.situation, one.path, reward)

    registry = Registry(tmp_path)
    catalog = lived.source().catalog
    found = train(turned(), catalog, registry, at(LATER_MS), held_out_share=0.3)
    assert found.manifest.version == trained(lived).manifest.version
    assert 0.2 < found.held_out / (found.held_out + found.interactions) < 0.4


def test_only_what_taught_nothing_is_fresh(lived: History) -> None:
    """Held-out subjects are, and later decisions; those it learned from are not."""
    training = trained(lived).manifest.training
    decisions = [one.decision for one in lived.source().interactions()]
    for decision in decisions:
        assert is_fresh(training, decision) == is_held_out(decision, 0.3)
    middle = len(decisions) // 2
    earlier = training.model_copy(update={"until": decisions[middle].decision_id.hex()})
    assert all(is_fresh(earlier, decision) for decision in decisions[middle + 1 :])
    assert not all(is_fresh(earlier, decision) for decision in decisions[: middle + 1])


def test_a_target_is_evaluated_on_what_is_fresh(lived: History) -> None:
    """A chain by its training; other policies have learned from nothing."""
    found = trained(lived)
    decisions = [one.decision for one in lived.source().interactions()]
    target = lived.source().target(found.manifest.version)
    assert sum(map(target.is_fresh, decisions)) == found.held_out
    assert all(map(lived.source().target("uniform").is_fresh, decisions))


def test_progress_is_told(lived: History) -> None:
    """Every interaction that is learned is counted once."""
    steps: list[int] = []
    source = lived.source()
    train(
        source.interactions(),
        source.catalog,
        lived.registry,
        at(LATER_MS),
        held_out_share=0.3,
        on_progress=steps.append,
    )
    assert sum(steps) == trained(lived).interactions


def test_there_may_be_nothing_to_learn(past: History) -> None:
    """No interactions, or none but held-out ones: an error that says what is needed, no policy."""
    with pytest.raises(NothingToLearnError, match="delivered decisions"):
        trained(past)
    past.deliver(past.decide(), DeliveryStatus.FAILED)
    with pytest.raises(NothingToLearnError):
        trained(past)
    past.deliver(past.decide())
    with pytest.raises(NothingToLearnError):
        trained(past, held_out=0.999999)
    assert list(past.registry.manifests()) == []


def test_a_reward_beyond_learning_is_left_out(past: History) -> None:
    """It would spoil the model for ever; it is counted, and keeps nobody from training."""
    decision = past.decide(eligible_offers=("spring", "loyal"))
    past.deliver(decision)
    for turn in range(3):
        past.reward(decision, 1e15, reward_id=str(turn))
    source = past.source()
    assert list(source.interactions()) == []
    assert source.left == {Left.UNUSABLE_REWARD: 1}
    with pytest.raises(NothingToLearnError):
        trained(past, held_out=0.0)
    assert list(past.registry.manifests()) == []
