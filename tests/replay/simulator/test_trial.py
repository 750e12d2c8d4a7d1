"""A trial runs every property over many situations, and reports what it found."""

import json

import numpy as np
import pytest

from policy.features import check_features
from policy.situation import Situation
from replay.simulator import LEARNERS, make_learner, run_trial
from replay.simulator.cases import HOSTILE_EVERY, cases
from replay.simulator.learners import AsLearner
from replay.simulator.trial import STATEMENTS
from tests.replay.simulator import broken

FAULTS: list[tuple[type, str]] = [
    (broken.Listed, "pmf"),
    (broken.OffByALittle, "pmf"),
    (broken.OffByALittle, "eligible"),
    (broken.BelowItsFloor, "floor"),
    (broken.Restless, "pure"),
    (broken.Restless, "choice"),
    (broken.Boundless, "values"),
    (broken.Renamed, "version"),
    (broken.Jumping, "frequencies"),
    (broken.Individual, "twins"),
    (broken.Grudging, "learn"),
    (broken.Fragile, "hostile"),
]


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_every_learner_of_ours_conforms(name: str) -> None:
    """All properties hold for each of them, before and after learning."""
    trial = run_trial(name, lambda: make_learner(name), situations=12)
    assert [one.problem for one in trial.properties if not one.held] == []
    assert trial.held


@pytest.mark.parametrize(("kind", "name"), FAULTS)
def test_a_broken_promise_fails_its_property(kind: type, name: str) -> None:
    """A class that breaks a promise fails in it, and the report says where."""
    trial = run_trial("ours", lambda: AsLearner(kind()), situations=12)
    (found,) = [one for one in trial.properties if one.name == name]
    assert not found.held
    assert found.problem.startswith("situation ")
    assert not trial.held


@pytest.mark.parametrize("kind", [broken.Fragile, broken.Grudging])
def test_one_fault_fails_nothing_else(kind: type) -> None:
    """What only hostile features, or only losses, bring out is told under their own name."""
    trial = run_trial("ours", lambda: AsLearner(kind()), situations=12)
    failed = {one.name for one in trial.properties if not one.held}
    assert failed <= {"hostile", "learn"}
    assert failed


def test_json_tells_all_properties() -> None:
    """The findings as plain values have every property with its statement."""
    told = json.loads(json.dumps(run_trial("x", lambda: AsLearner(broken.Sound())).to_json()))
    assert told["conforms"] is True
    assert {one["name"]: one["statement"] for one in told["properties"]} == dict(STATEMENTS)


def test_progress_is_told_for_each_situation() -> None:
    """Each situation is told once it is done."""
    told: list[int] = []
    run_trial("x", lambda: AsLearner(broken.Sound()), situations=5, on_progress=told.append)
    assert told == [1] * 5


def test_both_twins_are_closed() -> None:
    """Whatever a trial makes, it frees."""
    open_: list[AsLearner] = []

    class Closing(AsLearner):
        def close(self) -> None:
            open_.remove(self)

    def make() -> Closing:
        made = Closing(broken.Sound())
        open_.append(made)
        return made

    run_trial("x", make, situations=1)
    assert not open_


def test_cases_are_what_a_server_would_accept() -> None:
    """Hostile or not: there is something to choose, and no feature would be refused."""
    for situation, hostile in cases(0, 60):
        assert situation.tree
        check_features(situation.features, "features")
        for features in situation.offer_features.values():
            check_features(features, "offer_features")
        assert hostile or "plan" in situation.features


def test_cases_are_of_all_kinds() -> None:
    """Single actions and large trees, with and without no send, and a third of them hostile."""
    found = list(cases(0, 60))
    sizes = [
        sum(node.windows.bit_count() for o in one.tree for node in o.channels) for one, _ in found
    ]
    assert min(sizes) < 5
    assert max(sizes) > 150
    assert {"no_send" in one.names(()) for one, _ in found} == {True, False}
    assert sum(hostile for _, hostile in found) == 60 // HOSTILE_EVERY
    assert {len(one.features) for one, hostile in found if hostile} == {0, 1, 5, 256}


def test_more_cases_only_add_to_fewer() -> None:
    """A seed always gives the same cases; another one gives others."""
    few, many, other = ([_tree(one) for one, _ in cases(*how)] for how in ((1, 4), (1, 9), (2, 4)))
    assert many[:4] == few != other


def _tree(situation: Situation) -> object:
    return situation.tree, dict(situation.features), np.int64(situation.grid.start_ms)
