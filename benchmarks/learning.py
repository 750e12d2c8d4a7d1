"""How much of what there is to earn the chain captures while it learns, beside its peers.

Every learner meets the same subjects and the same luck, in the reference world of the design, from
its first round on. The peers run at the best settings of a sweep on other worlds: see
docs/decisions/0004-peers-in-the-simulator.md.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from itertools import product
from multiprocessing import get_context
from statistics import mean, stdev
from typing import Final

from replay.simulator import ReferenceWorld, make_learner, simulate

BASES: Final = (-3.2, -4.5)
SEEDS: Final = range(5)
ROUNDS: Final = 20_000
CHAIN: Final = "chain"
PEERS: Final = ("joint", "slates", "ccb", "epsilon", "no_context", "best_so_far")

Run = tuple[str, float, int]
"""Learner, base and seed."""


def run(workers: int | None = None) -> dict[str, float]:
    """Measure.

    Args:
        workers: processes to share the runs; one for each core if not given. The figures do not
            depend on it.

    Returns:
        For each base and learner the mean captured share over `SEEDS` and its standard error; for
        each peer also the mean by which the chain is ahead of it in the same worlds, likewise.
    """
    runs = list(product((CHAIN, *PEERS), BASES, SEEDS))
    context = get_context("spawn")  # gRPC's threads of other benchmarks would not survive a fork
    with ProcessPoolExecutor(workers or os.cpu_count(), mp_context=context) as pool:
        found = dict(zip(runs, pool.map(captured, runs), strict=True))
    return {
        name: value
        for base in BASES
        for figure in (_shares(found, base), _leads(found, base))
        for name, value in figure.items()
    }


def captured(run_of: Run) -> float:
    """Captured share of one run."""
    name, base, seed = run_of
    with closing(make_learner(name)) as learner:
        return simulate(ReferenceWorld(base, seed), learner, ROUNDS).captured


def _shares(found: Mapping[Run, float], base: float) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name in (CHAIN, *PEERS):
        shares = [found[name, base, seed] for seed in SEEDS]
        figures |= _summary(f"captured_{name}_base_{base:g}", shares)
    return figures


def _leads(found: Mapping[Run, float], base: float) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name in PEERS:
        leads = [found[CHAIN, base, seed] - found[name, base, seed] for seed in SEEDS]
        figures |= _summary(f"chain_ahead_of_{name}_base_{base:g}", leads)
    return figures


def _summary(name: str, values: Sequence[float]) -> dict[str, float]:
    return {name: mean(values), f"{name}_se": stdev(values) / len(values) ** 0.5}
