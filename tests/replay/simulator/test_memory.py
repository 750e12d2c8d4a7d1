"""Whole rounds, from request to learning, keep no memory, however long it goes on."""

import gc
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from policy.best_so_far import BestSoFar
from policy.choice import choose
from policy.eligibility import eligibility
from policy.exploration import Exploration
from policy.learning import Student
from policy.policies import FloatArray
from policy.request import Request
from policy.situation import Path, Situation, Tree
from replay.simulator import CampaignWorld, Learner
from replay.simulator.learners import AsLearner
from replay.simulator.reference import NOW_MS
from tests.resources import resident_bytes

OURS = pytest.mark.parametrize("name", ["chain", "best_so_far"])
# What Python holds is counted exactly, and a situation that stayed would take 3 KiB of it. What
# Vowpal Wabbit holds only shows in the whole process, which moves by tens of MiB for no reason: an
# example that stayed would take 31 KiB in every block, noise comes and goes.
WARM_UP, FILLING = 1_000, 80_000
SHORT, LONG = 3_000, 150_000
TRACED_MAX, RESIDENT_MAX = 9 * 1024 * 1024, 64 * 1024 * 1024


class _Chain:
    """The product's chain as it learns from a log; the simulator's keeps all outcomes."""

    version = "chain"

    def __init__(self) -> None:
        self._student = Student(Exploration())
        self.learn = self._student.learn
        self.close = self._student.close

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        return self._student.chain.pmf(situation, path)

    def values(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        return self._student.chain.values(situation, path)


@pytest.fixture
def learner(name: str) -> Iterator[Learner]:
    """A new learner."""
    found = AsLearner(_Chain() if name == "chain" else BestSoFar(name, Exploration()))
    yield found
    found.close()


def _situation(turn: int, tree: Tree | None) -> Situation:
    """A subject like no other: texts, names and numbers that were never seen before.

    Args:
        turn: tells subjects apart.
        tree: stands in for what is eligible, which is the same; what was made of a tree is kept as
            long as there is room, and the short run shall not fill it.
    """
    request = Request(
        NOW_MS + turn * 60_000,
        features={"segment": f"{turn % 6}", "id": f"visitor {turn}", f"x{turn}": turn / 7},
        offer_features={f"offer_{turn % 6}": {"fit": turn % 50 / 9, "note": f"a|{turn % 50}"}},
    )
    situation = eligibility(request, WORLD.catalog).situation
    return situation if tree is None else replace(situation, tree=tree)


WORLD = CampaignWorld()


TREE = WORLD.situations()[0].tree


def _live(learner: Learner, rounds: range, tree: Tree | None) -> tuple[int, int]:
    """Memory after some rounds, in bytes: what Python has allocated, and the whole process."""
    for turn in rounds:
        situation = _situation(turn, tree)
        choice = choose(learner, situation, turn)
        learner.learn(situation, choice.path, float(turn % 5 == 0))
    gc.collect()
    return tracemalloc.get_traced_memory()[0], resident_bytes()


def _growth(learner: Learner, first: int, block: int, tree: Tree | None) -> tuple[int, int]:
    """By how much both have grown after two blocks of rounds; of the process the lesser block."""
    blocks = (range(first), range(first, first + block), range(first + block, first + 2 * block))
    tracemalloc.start()
    try:
        (python, start), (_, middle), (grown, end) = (_live(learner, one, tree) for one in blocks)
    finally:
        tracemalloc.stop()
    return grown - python, min(middle - start, end - middle)


@OURS
def test_memory_stays_flat(learner: Learner) -> None:
    """Thousands of subjects, none like another, leave nothing behind."""
    traced, resident = _growth(learner, WARM_UP, SHORT, TREE)
    assert traced < TRACED_MAX
    assert resident < RESIDENT_MAX


@OURS
@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_memory_stays_flat_for_long(learner: Learner) -> None:
    """Once all caches are full, hundreds of thousands more leave nothing behind."""
    traced, resident = _growth(learner, FILLING, LONG, None)
    assert traced < TRACED_MAX
    assert resident < RESIDENT_MAX
