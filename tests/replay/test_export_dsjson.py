"""The exported lines: what Vowpal Wabbit makes of them is what the log holds."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from vowpalwabbit import pyvw

from replay.dsjson import DsjsonPlan, evaluate_dsjson
from replay.export import export_dsjson
from replay.export.dsjson import event_of
from replay.join import Interaction
from tests.replay.history import History, history
from tests.replay.worlds import WORLD, live

COUNT = 300
OPTIONS = "--dsjson --cb_explore_adf --cb_type mtr --epsilon 0.1 --quiet"


@pytest.fixture
def past(tmp_path: Path) -> Iterator[History]:
    """Yield a log."""
    with history(tmp_path / "data", WORLD) as past:
        live(past, COUNT)
        hostile = {'|a b:1\n"': 'x|y z:2\t"}', "_multi": "[]", "_label_cost": "-99", "é": "ü"}
        decision = past.decide("mallory", features=hostile)
        past.deliver(decision)
        past.reward(decision, 2.5)
        yield past


def interactions(past: History) -> list[Interaction]:
    """Return the interactions of the log."""
    return list(past.source().interactions())


def test_vw_sees_the_costs_and_probabilities_of_the_log(past: History, tmp_path: Path) -> None:
    """Each line is parsed by VW into the offers, with the label on the chosen one."""
    assert export_dsjson(interactions(past), tmp_path / "out.json") == COUNT + 1
    workspace = pyvw.Workspace(OPTIONS)
    lines = (tmp_path / "out.json").read_text().splitlines()
    for line, one in zip(lines, interactions(past), strict=True):
        examples = workspace.parse(line)
        stage = one.decision.stages[0]
        actions = examples[1:]
        assert len(actions) == len(one.situation.tree) == len(stage.pmf)
        labels = {
            index: (example.get_cbandits_cost(0), example.get_cbandits_probability(0))
            for index, example in enumerate(actions)
            if example.get_cbandits_num_costs()
        }
        assert labels == {
            stage.chosen: (pytest.approx(-one.reward), pytest.approx(stage.probability))
        }
        workspace.finish_example(examples)
    workspace.finish()


def test_vw_learns_from_the_file(past: History, tmp_path: Path) -> None:
    """VW's own reader takes every line, and what it learns is what the customers like."""
    export_dsjson(interactions(past), tmp_path / "out.json")
    by_file = pyvw.Workspace(f"{OPTIONS} -q co", data=str(tmp_path / "out.json"))
    by_line = pyvw.Workspace(f"{OPTIONS} -q co")
    for line in (tmp_path / "out.json").read_text().splitlines():
        examples = by_line.parse(line)
        by_line.learn(examples)
        by_line.finish_example(examples)
    assert by_file.get_weighted_examples() == by_line.get_weighted_examples() == COUNT + 1
    assert by_file.get_sum_loss() == pytest.approx(by_line.get_sum_loss())
    assert by_file.get_sum_loss() < 0  # costs are rewards, negated
    likes = {plan: _offer_for(by_file, past, plan) for plan in ("young", "old")}
    assert likes == {"young": "spring", "old": "loyal"}
    by_file.finish()
    by_line.finish()


def _offer_for(workspace: pyvw.Workspace, past: History, plan: str) -> str:
    """The offer that VW, having learned, likes best for a plan."""
    found = (one for one in interactions(past) if one.decision.features.get("plan") == plan)
    one = next(found)
    event = {name: value for name, value in event_of(one).items() if not name.startswith("_label")}
    pmf = workspace.predict(json.dumps(event))
    return one.situation.tree[max(range(len(pmf)), key=pmf.__getitem__)].offer


def test_no_feature_can_forge_a_label(past: History) -> None:
    """Names and values of callers become keys that mean nothing to VW."""
    event = event_of(interactions(past)[-1])
    context = event["c"]
    names = [
        *context["c"],
        *(name for action in context["_multi"] for side in action.values() for name in side),
    ]
    assert len(context["c"]) == 4
    assert not any(name.startswith("_") for name in names)
    assert all(isinstance(number, float) for number in context["c"].values())
    assert json.loads(json.dumps(event)) == event


def test_the_lines_are_read_by_our_own_evaluation(past: History, tmp_path: Path) -> None:
    """`evaluate --dsjson` finds every line sound, and the mean reward of the log."""
    found = interactions(past)
    export_dsjson(found, tmp_path / "out.json")
    result = evaluate_dsjson(tmp_path / "out.json", DsjsonPlan(("logging",), ("ips",)))
    assert result.lines == COUNT + 1
    assert not result.left.damaged
    mean = sum(one.reward for one in found) / len(found)
    estimate = result.policies["logging"].estimates["ips"]
    assert estimate is not None
    assert estimate.value == pytest.approx(mean)


def test_a_failed_export_leaves_the_file_as_it_was(past: History, tmp_path: Path) -> None:
    """The file is replaced whole or not at all."""
    (tmp_path / "out.json").write_text("before")

    def broken() -> Iterator[Interaction]:
        yield from interactions(past)[:2]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        export_dsjson(broken(), tmp_path / "out.json")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.json"]
    assert (tmp_path / "out.json").read_text() == "before"
