"""A log read in stretches and over processes gives the same as one read in one go."""

import gc
import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from decisionlog import DecisionLog
from decisionlog.tables import Table
from replay import slices
from replay.estimate import Estimate
from replay.join import Left
from replay.log_evaluation import LOGGING
from replay.log_plan import EvaluationPlan, evaluate_source
from replay.simulator.errors import UnusableLearnerError
from replay.slices import read_log
from replay.source import Source
from tests.replay.evaluations import evaluate_log
from tests.replay.history import History, history
from tests.replay.worlds import WORLD, live

VERSIONS = ("uniform", "fixed/spring")
DECISIONS = 320


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """A log in which some deliveries failed."""
    with history(tmp_path_factory.mktemp("world") / "data", WORLD) as past:
        live(past, DECISIONS, delivered=0.9)
        yield past


def shared(past: History) -> Source:
    """The log as commands open it: other processes may read it, too."""
    directory = past.registry.data_dir
    return past.source(open_log=partial(DecisionLog.open, directory, keys=None, read_only=True))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches of 20 decisions, so that a small log has many."""
    monkeypatch.setattr(slices, "STRETCH", 20)


@pytest.mark.usefixtures("short", "ours")
def test_processes_change_nothing(lived: History) -> None:
    """Two processes give the bytes that one gives; each of them finds a class of one's own."""
    plan = EvaluationPlan((*VERSIONS, "ours_to_evaluate:Spring"))
    steps: dict[int, list[int]] = {1: [], 2: []}
    alone, both = (read_log(shared(lived), plan, one, steps[one].append) for one in steps)
    assert pickle.dumps(alone) == pickle.dumps(both)
    assert alone.policies[LOGGING].evaluation.n > DECISIONS / 2
    assert [sum(told) for told in steps.values()] == [DECISIONS] * 2


def assert_same(one: Estimate | None, other: Estimate | None) -> None:
    """Equal to twelve digits: a subject's rows are added up in the order in which they come."""
    assert one is not None
    assert other is not None
    expected = (other.value, *other.interval)
    assert (one.value, *one.interval) == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.usefixtures("short")
def test_stretches_change_no_estimate(lived: History) -> None:
    """Values, intervals and reasons are those of one reading without stretches."""
    source = shared(lived)
    found = evaluate_source(source, VERSIONS, processes=1)
    whole = evaluate_log(list(source.interactions()), [source.target(one) for one in VERSIONS])
    for name in (LOGGING, *VERSIONS):
        assert_same(found.policies[name].difference, whole[name].difference)
        for estimator, estimate in whole[name].result.estimates.items():
            assert_same(found.policies[name].result.estimates[estimator], estimate)
    assert found.left == source.left


@pytest.mark.usefixtures("short", "ours")
def test_errors_of_other_processes_arrive(lived: History) -> None:
    """What a policy raises ends the evaluation with its own error, as if there were one process."""
    for processes in (1, 2):
        with pytest.raises(UnusableLearnerError):
            evaluate_source(shared(lived), ("ours_to_evaluate:Raising",), processes=processes)


@pytest.mark.usefixtures("short")
def test_damage_is_counted_in_any_number_of_processes(tmp_path: Path) -> None:
    """A decision with a damaged record is left out and counted, and harms no other."""
    with history(tmp_path / "data", WORLD) as past:
        decisions = live(past, 200)
        past.damage(Table.DECISIONS, decisions[150].decision_id)
        past.damage(Table.DELIVERIES, decisions[20].decision_id)
        for processes in (1, 2):
            source = shared(past)
            found = evaluate_source(source, ("uniform",), processes=processes)
            assert found.left == {Left.DAMAGED: 2}
            assert found.policies[LOGGING].result.n == len(decisions) - 2
            assert source.damaged == {decisions[place].decision_id for place in (20, 150)}


@pytest.mark.usefixtures("short", "ours")
def test_garbage_is_looked_for_again(lived: History) -> None:
    """Reading puts it off, and leaves it as it was, whether it ends well or not."""
    evaluate_source(shared(lived), ("uniform",), processes=1)
    assert gc.isenabled()
    with pytest.raises(UnusableLearnerError):
        evaluate_source(shared(lived), ("ours_to_evaluate:Raising",), processes=1)
    assert gc.isenabled()
    gc.disable()
    try:
        evaluate_source(shared(lived), ("uniform",), processes=1)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_log_may_be_cut_anywhere(lived: History) -> None:
    """Stretches hold every decision once, in order, within the bounds of the source."""
    ids = [one.decision.decision_id for one in lived.log.scan()]
    for size in (1, 7, 50, DECISIONS, DECISIONS + 1):
        starts = lived.log.cuts(size)
        assert starts == ids[::size]
    assert lived.log.cuts(10, start=ids[5], until=ids[25]) == [ids[5], ids[15]]
    assert lived.log.cuts(10, start=ids[5], until=ids[5]) == []
    with pytest.raises(ValueError, match="never ends"):
        lived.log.cuts(0)


OURS = """
import numpy as np

class Spring:
    version = "ours"
    def pmf(self, situation, path):
        names = situation.names(path)
        if not path and "spring" in names:
            return np.asarray([float(name == "spring") for name in names])
        return np.full(len(names), 1 / len(names))
    def values(self, situation, path):
        return None

class Short(Spring):
    def pmf(self, situation, path):
        return super().pmf(situation, path)[1:]

class Negative(Spring):
    def pmf(self, situation, path):
        return np.asarray([2.0, -1.0, *super().pmf(situation, path)[2:]])

class Half(Spring):
    def pmf(self, situation, path):
        return super().pmf(situation, path) / 2

class Raising(Spring):
    def pmf(self, situation, path):
        raise KeyError("plan")
"""


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with somebody's module."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ours_to_evaluate.py").write_text(OURS, encoding="utf-8")


@pytest.mark.usefixtures("short", "ours")
def test_a_class_of_ones_own_is_evaluated(lived: History) -> None:
    """One that does what a rule does is worth what the rule is worth."""
    spec = "ours_to_evaluate:Spring"
    found = evaluate_source(shared(lived), (spec, "fixed/spring"), processes=1).policies
    assert found[spec].result.estimates == found["fixed/spring"].result.estimates


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Short", "has the shape"),
        ("Negative", "negative"),
        ("Half", "sums to 0.5, not 1"),
        ("Raising", "raised KeyError: 'plan'"),
        ("Absent", "has no class 'Absent'"),
    ],
)
def test_what_is_no_pmf_is_refused(lived: History, name: str, problem: str) -> None:
    """A class that gives no pmf ends the evaluation with an error that says so."""
    with pytest.raises(UnusableLearnerError, match=problem):
        evaluate_source(shared(lived), (f"ours_to_evaluate:{name}",))
