"""What is kept of eligible trees is counted with all that it holds on to."""

import gc
import tracemalloc
from itertools import combinations, islice

from policy.catalog import parse_catalog
from policy.eligibility import eligibility
from policy.layout import layouts
from policy.request import Request
from tests.policy.catalogs import minimal, toml

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
