"""What is kept of eligible trees is counted with all that it holds on to."""

import gc
import tracemalloc
from itertools import combinations, islice

import numpy as np

from policy.catalog import parse_catalog
from policy.eligibility import eligibility
from policy.request import Request
from policy.tables import Scorer
from policy.vw import SIZE
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
    """Each subject's rules make another tree: what stays of it is its layout more than its sums."""
    catalog = parse_catalog(toml(minimal(channels={"email": {}}, offers=OFFERS)))
    scorer = Scorer(np.zeros((2, SIZE), dtype=np.float32))
    scorer.tables(eligibility(Request(now_ms=0), catalog).situation)  # tokens are hashed once
    before = scorer.timing._total
    tracemalloc.start()
    try:
        for excluded in islice(combinations(OFFERS, 3), TREES):
            request = Request(now_ms=0, excluded_offers=excluded)
            scorer.tables(eligibility(request, catalog).situation)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    counted = scorer.timing._total - before
    assert len(scorer.timing) == TREES + 1
    assert counted / 2 < taken < counted * 2
