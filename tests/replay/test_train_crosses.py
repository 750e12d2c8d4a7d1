"""Crosses that a catalog declares go all the way: training, registry, serving, verification."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from policy.chain import Chain
from policy.crosses import DEFAULT, Crosses, crosses_of, words_of
from policy.registry import Registry
from replay.train import train
from replay.verify import Sought, verify
from tests.replay.history import LATER_MS, History, at, history
from tests.replay.worlds import live
from tests.shop import CATALOG

LESSONS, SERVED = 100, 20
DECLARED: Crosses = ("co", "cow", "cnw", "onw")
"""Three that no model crosses unasked."""


@pytest.fixture
def declared(tmp_path: Path) -> Iterator[History]:
    """A log under a catalog that declares crosses."""
    words = list(words_of(DECLARED))
    with history(tmp_path / "data", f"{CATALOG}\n[model]\ncrosses = {words}\n") as past:
        live(past, LESSONS)
        yield past


def trained(past: History) -> str:
    """Trains on the log by the catalog in force; returns the version."""
    source = past.source()
    found = train(
        source.interactions(), source.catalog, past.registry, at(LATER_MS), held_out_share=0.0
    )
    assert crosses_of(found.manifest.crosses) == DECLARED
    return found.manifest.version


def test_declared_crosses_are_trained_served_and_verified(declared: History) -> None:
    """The chain crosses what was declared wherever it is read, and its decisions are exact."""
    version = trained(declared)
    loaded = Registry(declared.registry.data_dir).policy(version)
    assert isinstance(loaded, Chain)
    assert loaded.crosses == DECLARED
    declared.promote(version)
    served = live(declared, SERVED)
    assert {one.policy_version for one in served} == {version}
    assert any(max(map(len, (stage.pmf for stage in one.stages))) > 1 for one in served)
    found = verify(Sought(declared.log, declared.registry))
    assert (found.decisions, found.mismatches) == (LESSONS + SERVED, ())


def test_a_model_keeps_its_crosses_whatever_a_later_catalog_says(declared: History) -> None:
    """Under a catalog that declares nothing it gives the same values as before."""
    version = trained(declared)
    situation = next(iter(declared.source().interactions())).situation
    before = declared.registry.policy(version).values(situation, ())
    declared.releases.publish(CATALOG)
    declared.promote(version)
    loaded = Registry(declared.registry.data_dir).policy(version)
    assert isinstance(loaded, Chain)
    assert loaded.crosses == DECLARED != DEFAULT
    after = loaded.values(situation, ())
    assert before is not None
    assert before.tolist() == after.tolist()
    live(declared, SERVED)
    assert verify(Sought(declared.log, declared.registry)).mismatched == 0
