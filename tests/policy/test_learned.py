"""A best so far is registered and read again like a chain: the same policy, to the last bit."""

from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.best_so_far import BestSoFar
from policy.chain import Scale
from policy.errors import DamagedModelError
from policy.exploration import Exploration
from policy.learned import TALLIES, WEIGHTS, Facts, Kind, facts_of, is_learned, read, write
from policy.learning import Student
from policy.registry import Registry, Training
from policy.situation import Situation
from policy.vw import SIZE
from replay.simulator.cases import cases
from tests.policy.conformance import assert_conforms, paths, stages
from tests.policy.situations import situations

NOW = datetime(2026, 11, 1, tzinfo=UTC)
TRAINING = Training(catalog="catalog-x", until="00" * 16, held_out_share=0.3, caution=1.0)
# Thirds have no end in binary: a digit that got lost would show.
rewards = st.floats(-1e9, 1e9) | st.integers(-9, 9).map(lambda count: count / 3)
histories = st.lists(st.tuples(st.integers(0, 10**6), rewards), min_size=1)


def _shop() -> Situation:
    """A small situation."""
    return next(cases(0, 1)).situation


def _taught(situation: Situation, history: list[tuple[int, float]]) -> BestSoFar:
    policy, actions = BestSoFar("best_so_far", Exploration()), list(paths(situation, 3))
    for number, reward in history:
        policy.learn(situation, actions[number % len(actions)], reward)
    return policy


def _some(situation: Situation) -> BestSoFar:
    return _taught(situation, [(turn * 7, float(turn % 3 == 0)) for turn in range(40)])


@given(situations(), histories)
def test_what_is_written_is_read_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, situation: Situation, history: list[tuple[int, float]]
) -> None:
    """All pmfs and values of the policy that is read are those of the one that learned."""
    directory, policy = tmp_path_factory.mktemp("written"), _taught(situation, history)
    write(policy, directory)
    found = read(Kind.BEST_SO_FAR, "best_so_far-x", facts_of(policy), directory)
    assert isinstance(found, BestSoFar)
    assert (found.extent, found.tallies) == (policy.extent, policy.tallies)
    for path in stages(situation):
        np.testing.assert_array_equal(found.pmf(situation, path), policy.pmf(situation, path))
        np.testing.assert_array_equal(found.values(situation, path), policy.values(situation, path))


@given(situations())
def test_a_registered_one_is_found_and_conforms(
    tmp_path_factory: pytest.TempPathFactory, situation: Situation
) -> None:
    """The registry gives it under its version, lists it, and says what it is."""
    registry = Registry(tmp_path_factory.mktemp("data"))
    manifest = registry.register(_some(situation), TRAINING, NOW)
    assert manifest.version.startswith("best_so_far-")
    assert manifest.interactions == 40
    assert [*registry.manifests()] == [registry.manifest(manifest.version)] == [manifest]
    found = registry.policy(manifest.version)
    assert found.version == manifest.version
    assert_conforms(found, situation)


@given(situations(), st.integers(1, 39))
def test_the_same_learning_gives_the_same_version(
    tmp_path_factory: pytest.TempPathFactory, situation: Situation, first: int
) -> None:
    """Its content makes the version: not when it was made, but all that it learned."""
    registry = Registry(tmp_path_factory.mktemp("data"))
    versions = [
        registry.register(policy, TRAINING, NOW).version
        for policy in (
            _some(situation),
            _some(situation),
            _taught(situation, [(turn * 7, float(turn % 3 == 0)) for turn in range(first)]),
        )
    ]
    assert versions[0] == versions[1] != versions[2]


def test_what_was_learned_first_does_not_matter(tmp_path: Path) -> None:
    """The same rewards of the same actions in another order make the same version."""
    registry, earned = Registry(tmp_path), [(0, 1.0), (10**6, 1.0), (7, 1.0)]
    versions = {
        registry.register(_taught(_shop(), list(history)), TRAINING, NOW).version
        for history in permutations(earned)
    }
    assert len(versions) == 1


def test_a_chain_is_registered_beside_it(tmp_path: Path) -> None:
    """Both kinds are listed, each is read as what it is."""
    registry, student, best = Registry(tmp_path), Student(Exploration()), _some(_shop())
    student.learn(_shop(), (0, 0, 0), 1.0)
    kinds = {registry.register(each, TRAINING, NOW).kind for each in (student, best)}
    assert kinds == set(Kind)
    assert {one.kind for one in registry.manifests()} == set(Kind)
    for one in registry.manifests():
        assert (
            type(registry.policy(one.version)).__name__
            == {
                Kind.CHAIN: "Chain",
                Kind.BEST_SO_FAR: "BestSoFar",
            }[one.kind]
        )
        assert is_learned(one.version)
    student.close()


@pytest.mark.parametrize("version", ["uniform", "fixed/chain-x", "logging", "chain", "other-0123"])
def test_a_rule_is_not_learned(version: str) -> None:
    """Only versions that begin with a kind are learned: the others may be evaluated on any log."""
    assert not is_learned(version)


def test_a_changed_file_is_damage(tmp_path: Path) -> None:
    """A byte more makes it another file than the manifest's."""
    registry = Registry(tmp_path)
    version = registry.register(_some(_shop()), TRAINING, NOW).version
    with (tmp_path / "models" / version / TALLIES).open("a", encoding="utf-8") as file:
        file.write(" ")
    with pytest.raises(DamagedModelError):
        registry.policy(version)


@pytest.mark.parametrize("text", ["", "[]", '{"extent": {}, "cells": [[["offer=a"], "x", 1.0]]}'])
def test_a_file_that_is_no_tallies_is_damage(tmp_path: Path, text: str) -> None:
    """What cannot be read as tallies is told as damage."""
    policy = _some(_shop())
    write(policy, tmp_path)
    (tmp_path / TALLIES).write_text(text, encoding="utf-8")
    with pytest.raises(DamagedModelError):
        read(Kind.BEST_SO_FAR, "best_so_far-x", facts_of(policy), tmp_path)


def test_a_model_that_has_diverged_is_never_loaded(tmp_path: Path) -> None:
    """Its weights are what was registered, but no choice can be made by them."""
    weights = np.full((2, SIZE), np.nan, dtype=np.float32)
    np.save(tmp_path / WEIGHTS, weights)
    with pytest.raises(DamagedModelError):
        read(Kind.CHAIN, "chain-x", Facts(Exploration(), Scale(0.0, 1.0), 7), tmp_path)
