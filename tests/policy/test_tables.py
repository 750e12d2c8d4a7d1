"""What is kept of eligible trees is counted with all that it holds on to."""

import gc
import tracemalloc
from itertools import combinations, islice

import numpy as np
import pytest

from policy.catalog import parse_catalog
from policy.eligibility import eligibility
from policy.layout import layouts
from policy.request import Request
from policy.walk import walk as compiled
from tests.policy.catalogs import minimal, toml
from tests.policy.models import actions, taught

OFFERS = {
    f"offer_{number}": {
        "channels": ["email"],
        "features": {f"trait_{trait}": f"{number} {trait}" for trait in range(20)},
    }
    for number in range(12)
}
TREES = 200


def test_trees_that_never_come_again_take_no_more_than_is_counted() -> None:
    """Each subject's rules make another tree: what stays of it is no more than is counted."""
    catalog = parse_catalog(toml(minimal(channels={"email": {}}, offers=OFFERS)))
    packed = layouts(catalog).packed
    packed(eligibility(Request(now_ms=0), catalog).situation.tree)
    before = packed._total
    tracemalloc.start()
    try:
        for excluded in islice(combinations(OFFERS, 3), TREES):
            request = Request(now_ms=0, excluded_offers=excluded)
            packed(eligibility(request, catalog).situation.tree)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    counted = packed._total - before
    assert len(packed) == TREES + 1
    assert counted / 2 < taken < counted * 2


def test_compiled_code_is_given_plain_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba knows their types at once; of an enumeration's member it asks Python each time."""
    catalog = parse_catalog(toml(minimal(channels={"email": {}}, offers=OFFERS)))
    situation = eligibility(Request(now_ms=0), catalog).situation
    given: set[type] = set()

    def walk(*arguments: object) -> object:
        given.update(map(type, arguments))
        return compiled(*arguments)  # type: ignore[arg-type] # whatever they are

    monkeypatch.setattr("policy.tables.walk", walk)
    with taught(situation, seed=0) as student:
        student.chain.walk_tree(situation, actions(situation)[0], (0.0, 0.0, 0.0))
        student.chain.pmf(situation, ())
    assert given == {int, float, np.ndarray}
