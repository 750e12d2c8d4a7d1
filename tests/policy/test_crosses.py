"""Crosses: declared in words, kept with the model, the same however they are written."""

from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given

from policy.catalog import parse_catalog
from policy.chain import Chain
from policy.crosses import ALL, DEFAULT, Crosses, bits_of, cross_of, crosses_of, word_of, words_of
from policy.errors import CatalogError
from policy.examples import text_example
from policy.exploration import Exploration
from policy.learning import Student
from policy.registry import Registry, Training
from tests.policy.catalogs import minimal, toml
from tests.policy.models import sets_of_crosses

TRAINING = Training(catalog="c", until="", held_out_share=0.0, caution=1.0)


def version_of(*crosses: str) -> str:
    """The version of a small catalog with some crosses."""
    return parse_catalog(toml(minimal(model={"crosses": list(crosses)}))).version


@pytest.mark.parametrize("cross", ALL)
def test_a_cross_is_the_same_in_whatever_order_its_sides_stand(cross: str) -> None:
    """Every order of the sides means the one cross whose letters Vowpal Wabbit hashes."""
    for sides in permutations(word_of(cross).split("*")):
        assert cross_of("*".join(sides)) == cross


@given(sets_of_crosses)
def test_the_order_of_crosses_changes_no_version(crosses: Crosses) -> None:
    """A catalog's version depends on what is crossed, not on how that is written."""
    words = list(words_of(crosses))
    assert version_of(*reversed(words)) == version_of(*words)
    assert crosses_of(reversed(words)) == crosses
    assert bits_of(crosses).bit_count() == len(crosses)


def test_the_default_is_no_part_of_the_version() -> None:
    """Catalogs from before crosses could be declared keep their version; others get another."""
    plain = parse_catalog(toml(minimal())).version
    assert version_of(*words_of(DEFAULT)) == plain
    assert version_of(*words_of(DEFAULT[1:])) != plain
    assert version_of() != plain


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("context", "cannot be crossed"),
        ("offer*offer", "cannot be crossed"),
        ("context*offer*channel*send_time", "cannot be crossed"),
        ("context*window", "'window' is not one of"),
        ("", "'' is not one of"),
    ],
)
def test_what_is_no_cross_is_refused_with_its_place(word: str, problem: str) -> None:
    """The mistake names the entry, what is wrong with it and what there is."""
    with pytest.raises(CatalogError) as caught:
        version_of("context*offer", word)
    (found,) = caught.value.problems
    assert found.place == "model.crosses[1]"
    assert problem in found.text


@pytest.mark.parametrize("crosses", [(), DEFAULT, ALL, ("co", "cnw")])
def test_a_model_keeps_its_own_crosses(tmp_path: Path, crosses: Crosses) -> None:
    """The manifest has them, in words, and the chain that is loaded scores by them."""
    registry, student = Registry(tmp_path), Student(Exploration(), crosses=crosses)
    text = "|c tx |o _offer=a |n _channel=b |w _minute=0"
    student.learn_example(text_example(text, crosses), 1.0)
    manifest = registry.register(student, TRAINING, datetime(2026, 1, 1, tzinfo=UTC))
    assert manifest.crosses == words_of(crosses)
    loaded = registry.policy(manifest.version)
    assert isinstance(loaded, Chain)
    assert loaded.crosses == crosses
    student.close()
