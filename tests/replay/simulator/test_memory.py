"""Whole rounds, from request to learning, keep no memory, however long it goes on."""

import gc
from collections.abc import Iterator

import pytest

from policy.best_so_far import BestSoFar
from policy.choice import choose
from policy.eligibility import eligibility
from policy.exploration import Exploration
from policy.learning import Student
from policy.policies import FloatArray
from policy.request import Request
from policy.situation import Path, Situation
from replay.simulator import CampaignWorld, Learner
from replay.simulator.learners import AsLearner
from replay.simulator.reference import NOW_MS
from tests.resources import resident_bytes

OURS = pytest.mark.parametrize("name", ["chain", "best_so_far"])
# A situation that stayed would take 3 KiB, a parsed example 31: the short run would grow by 12 MiB
# or more, the long one by 900. Caches may fill up; the short run gives them little to keep.
SHORT, LONG, WARM_UP, FILLING = 4_000, 300_000, 1_000, 40_000
SHORT_BYTES_MAX, LONG_BYTES_MAX = 8 * 1024 * 1024, 32 * 1024 * 1024


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


def _situation(turn: int) -> Situation:
    """A subject like no other: texts, names and numbers that were never seen before."""
    request = Request(
        NOW_MS + turn * 60_000,
        features={"segment": f"{turn % 6}", "id": f"visitor {turn}", f"x{turn}": turn / 7},
        offer_features={f"offer_{turn % 6}": {"fit": turn % 50 / 9, "note": f"a|{turn % 50}"}},
    )
    return eligibility(request, WORLD.catalog).situation


WORLD = CampaignWorld()


def _live(learner: Learner, first: int, rounds: int) -> int:
    """Memory after so many rounds."""
    for turn in range(first, first + rounds):
        situation = _situation(turn)
        choice = choose(learner, situation, turn)
        learner.learn(situation, choice.path, float(turn % 5 == 0))
    gc.collect()
    return resident_bytes()


@OURS
def test_memory_stays_flat(learner: Learner) -> None:
    """Thousands of subjects, none like another, leave nothing behind."""
    before = _live(learner, 0, WARM_UP)
    assert _live(learner, WARM_UP, SHORT) - before < SHORT_BYTES_MAX


@OURS
@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_memory_stays_flat_for_long(learner: Learner) -> None:
    """Once all caches are full, hundreds of thousands more leave nothing behind."""
    before = _live(learner, 0, FILLING)
    assert _live(learner, FILLING, LONG) - before < LONG_BYTES_MAX
