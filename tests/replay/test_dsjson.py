"""Logs of decision-service JSON: evaluated as their rows say, damaged lines named, models asked."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vowpalwabbit
from hypothesis import given
from hypothesis import strategies as st

from replay.dsjson import DsjsonPlan, evaluate_dsjson
from replay.dsjson.lines import DamagedLineError, draws_of
from replay.dsjson.model import BadModelError
from replay.dsjson.targets import UnknownTargetError
from replay.errors import EmptyTableError, TableFormatError
from replay.evaluation import EvaluationResult
from replay.simulator.errors import UnusableLearnerError
from replay.verdict import Verdict

PMF = (0.7, 0.2, 0.1)
ROWS = 1500


def event(rng: np.random.Generator, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - of JSON
    """A line as Vowpal Wabbit's client library writes it; action 2 is best for those who ski."""
    skis = bool(rng.random() < 0.5)
    order = [int(one) for one in rng.permutation(3) + 1]
    place = int(rng.choice(3, p=PMF))
    chosen = order[place]
    clicked = rng.random() < (0.6 if (chosen == 2) == skis else 0.2)
    # The chosen one comes first, as the library puts it.
    actions = [chosen, *(one for one in order if one != chosen)]
    p = [PMF[place], *(PMF[order.index(one)] for one in actions[1:])]
    return {
        "_label_cost": -1.0 if clicked else 0.0,
        "_label_probability": p[0],
        "_label_Action": chosen,
        "_labelIndex": chosen - 1,
        "Version": "1",
        "EventId": rng.bytes(8).hex(),
        "a": actions,
        "c": {"sport": "ski" if skis else "golf", "_multi": [{"id": f"a{n}"} for n in range(3)]},
        "p": p,
        "VWState": {"m": "x"},
        **changes,
    }


def events(count: int = ROWS, seed: int = 0) -> list[dict[str, Any]]:
    """So many of them."""
    rng = np.random.default_rng(seed)
    return [event(rng) for _ in range(count)]


def write(path: Path, lines: Sequence[object]) -> Path:
    """Writes a log; text as it is."""
    texts = [one if isinstance(one, str) else json.dumps(one) for one in lines]
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def value(found: EvaluationResult, name: str = "ips") -> float:
    """The value of an estimator."""
    estimate = found.estimates[name]
    assert estimate is not None
    return estimate.value


def test_values_are_those_of_the_rows(tmp_path: Path) -> None:
    """Ips of each policy is the sum over its rows by hand; the verdict is ok."""
    rows = events()
    targets = ("logging", "uniform", "action/2")
    found = evaluate_dsjson(write(tmp_path / "log.json", rows), DsjsonPlan(targets)).policies
    rewards = np.asarray([-row["_label_cost"] for row in rows])
    p = np.asarray([row["_label_probability"] for row in rows])
    second = np.asarray([row["_label_Action"] == 2 for row in rows])
    assert value(found["logging"]) == pytest.approx(rewards.mean())
    assert value(found["uniform"]) == pytest.approx((rewards / 3 / p).mean())
    assert value(found["action/2"]) == pytest.approx((rewards * second / p).mean())
    assert [one.verdict for one in found.values()] == [Verdict.OK] * 3


def test_directories_and_packed_files(tmp_path: Path) -> None:
    """A log in parts, some of them packed, is the same log; progress reaches the end."""
    rows = events(600)
    whole = evaluate_dsjson(write(tmp_path / "whole.json", rows), DsjsonPlan())
    parts = tmp_path / "parts"
    parts.mkdir()
    write(parts / "a.json", rows[:400])
    packed = "".join(f"{json.dumps(row)}\n\n" for row in rows[400:])
    (parts / "b.json.gz").write_bytes(gzip.compress(packed.encode()))
    write(parts / "_ignored.json", ["rubbish"])
    shares: list[float] = []
    found = evaluate_dsjson(parts, DsjsonPlan(), lambda _, share: shares.append(share))
    assert found.policies["uniform"].estimates == whole.policies["uniform"].estimates
    assert found.lines == 600
    assert shares[-1] == 1.0


DAMAGED = {
    "is not JSON": "{",
    "is no JSON object": [1],
    "has no number as _label_cost": {"_label_cost": "1"},
    "has no number as _label_probability": {"_label_probability": None},
    "has no list p": {"p": []},
    "has a probability in p below 0 or above 1": {"p": [1.3, -0.2, -0.1]},
    "has probabilities that do not sum to 1": {"p": [0.7, 0.2, 0.2]},
    "has another number of actions than of probabilities": {"p": [0.7, 0.3]},
    "names an action of a twice": {"a": [1, 1, 2]},
    "has actions in a that are no whole numbers": {"a": [1, "2", 3]},
    "took an action (_label_Action) that is not among its actions (a)": {"_label_Action": 9},
    "took an action whose probability is zero": {
        "p": [0, 1, 0],
        "a": [1, 2, 3],
        "_label_Action": 1,
        "_label_probability": 0,
    },
    "took an action whose probability is above 1": {"_label_probability": 1.5},
    "has a _label_probability that is not that of its action in p": {"_label_probability": 0.5},
    "has a pdrop that is not from 0 to below 1": {"pdrop": 1.0},
}


@pytest.mark.parametrize(("reason", "change"), DAMAGED.items(), ids=DAMAGED)
def test_damaged_lines_are_counted_and_named(tmp_path: Path, reason: str, change: Any) -> None:  # noqa: ANN401
    """Each by what is wrong with it, with its number; sound lines count all the same."""
    rng = np.random.default_rng(1)
    sound = events(400)
    odd = event(rng, **change) if isinstance(change, dict) else change
    log = write(tmp_path / "log.json", [*sound[:200], odd, *sound[200:]])
    found = evaluate_dsjson(log, DsjsonPlan())
    assert found.left_json()["damaged"] == {reason: {"count": 1, "lines": ["log.json:201"]}}
    result = found.policies["uniform"]
    assert result.n == 400
    assert result.verdict is Verdict.WARN
    assert f"of 1 the line {reason}" in result.diagnosis.reasons[0]


def test_much_damage_is_refused(tmp_path: Path) -> None:
    """Where a tenth of the lines is damaged, the rest is another log."""
    log = write(tmp_path / "log.json", [*events(900), *["{"] * 100])
    found = evaluate_dsjson(log, DsjsonPlan(("logging",))).policies["logging"]
    assert found.verdict is Verdict.REFUSE
    assert "log.json:905, …" in found.diagnosis.reasons[0]


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_rubbish_is_damaged_or_nothing(line: bytes) -> None:
    """No bytes make the reader fail in another way."""
    try:
        found = draws_of(line)
    except DamagedLineError:
        return
    assert found == []


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(
    changes=st.dictionaries(
        st.sampled_from(["_label_cost", "_label_probability", "_label_Action", "a", "p", "pdrop"]),
        JSON,
    ),
    slots=st.booleans(),
)
def test_hostile_values_are_damaged_or_sound(changes: dict[str, Any], *, slots: bool) -> None:
    """What is read has a pmf with a chance for what was taken."""
    line = event(np.random.default_rng(0), **changes)
    if slots:
        line["_outcomes"] = [{f"_{name}": line[name] for name in ("a", "p")} | line]
    try:
        found = draws_of(json.dumps(line).encode())
    except DamagedLineError:
        return
    for draw in found:
        assert 0 < draw.probability <= 1
        assert len(draw.pmf) == len(draw.actions)
        assert sum(draw.pmf) == pytest.approx(1, abs=2e-3)


def test_other_lines_are_no_damage(tmp_path: Path) -> None:
    """Observations, and decisions that were not carried out, are counted apart."""
    others = [{"EventId": "x", "RewardValue": 1.0}, {**events(1)[0], "_skipLearn": True}]
    found = evaluate_dsjson(write(tmp_path / "log.json", [*events(300), *others]), DsjsonPlan())
    assert found.left_json() == {"unlabelled": 2, "damaged": {}}


def test_probabilities_of_other_actions_are_refused(tmp_path: Path) -> None:
    """A log that claims even chances for skewed choices is refused, the logging policy included."""
    rows = [{**row, "p": [1 / 3] * 3, "_label_probability": 1 / 3} for row in events()]
    greedy = [row for row in rows if row["_label_Action"] != 3]
    log = write(tmp_path / "log.json", greedy)
    found = evaluate_dsjson(log, DsjsonPlan(("logging",))).policies["logging"]
    assert found.verdict is Verdict.REFUSE
    assert "do not belong to the choices: action 3 was chosen 0 times" in found.diagnosis.reasons[0]


RATES = {1: 0.3, 2: 0.12, 3: 0.02}
"""Clicks by action, so that lines which are thrown away for want of one are not alike."""


def thinned(seed: int, count: int = 6000) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A log, and what is left of it if nine of ten lines without a click are thrown away."""
    rng = np.random.default_rng(seed)
    rows = [event(rng) for _ in range(count)]
    for row in rows:
        row["_label_cost"] = -1.0 if rng.random() < RATES[row["_label_Action"]] else 0.0
    kept = []
    for row in rows:
        dropped = 0.9 if row["_label_cost"] == 0 else 0.0
        if rng.random() >= dropped:
            kept.append({**row, "pdrop": dropped} if dropped else row)
    return rows, kept


def test_thrown_away_lines_are_stood_for(tmp_path: Path) -> None:
    """If nine of ten lines without a click are thrown away, the value is that of the whole log."""
    rows, kept = thinned(5)
    assert len(kept) < 2000
    targets = ("logging", "uniform")
    whole = evaluate_dsjson(write(tmp_path / "a.json", rows), DsjsonPlan(targets)).policies
    found = evaluate_dsjson(write(tmp_path / "b.json", kept), DsjsonPlan(targets)).policies
    for name in targets:
        estimate = found[name].estimates["snips"]
        assert estimate is not None
        low, high = estimate.interval
        assert low < value(whole[name], "snips") < high
        assert value(found[name], "snips") == pytest.approx(value(whole[name]), rel=0.12)
        assert found[name].verdict is Verdict.OK, found[name].diagnosis.reasons


def test_draws_of_thinned_logs_are_checked(tmp_path: Path) -> None:
    """Of ten sound ones at most one is blamed, and mildly; false probabilities are refused."""
    plan = DsjsonPlan(("logging",))
    logs = [thinned(seed, 3000)[1] for seed in range(10)]
    sound = [evaluate_dsjson(write(tmp_path / "a.json", log), plan) for log in logs]
    verdicts = sorted((one.policies["logging"].verdict for one in sound), reverse=True)
    assert verdicts in ([Verdict.OK] * 10, [Verdict.WARN] + [Verdict.OK] * 9)
    flat = [{**row, "p": [1 / 3] * 3, "_label_probability": 1 / 3} for row in logs[0]]
    greedy = [row for row in flat if row["_label_Action"] != 3]
    found = evaluate_dsjson(write(tmp_path / "b.json", greedy), plan).policies["logging"]
    assert found.verdict is Verdict.REFUSE
    assert "action 3 was chosen 0 times" in found.diagnosis.reasons[0]


def test_slots_count_one_by_one(tmp_path: Path) -> None:
    """Of a conditional contextual bandit every slot is a row."""
    slots = [
        {"_label_cost": -1, "_id": "top", "_a": [1, 0], "_p": [0.8, 0.2], "_o": []},
        {"_label_cost": 0, "_id": "side", "_a": [0], "_p": [1.0], "_o": []},
    ]
    log = write(tmp_path / "log.json", [{"Timestamp": "x", "_outcomes": slots, "c": {}}] * 50)
    found = evaluate_dsjson(log, DsjsonPlan(("logging", "uniform"))).policies
    assert found["logging"].n == 100
    assert value(found["logging"]) == 0.5
    assert value(found["uniform"]) == pytest.approx(0.5 / 0.8 / 2)


def test_a_model_of_vowpal_wabbit_chooses(tmp_path: Path) -> None:
    """A trained model's probabilities are VW's own; it knows who skis, and is worth more."""
    rows = events(2500)
    model = tmp_path / "model.vw"
    arguments = f"--dsjson --cb_explore_adf --epsilon 0.1 -q :: --quiet -f {model}"
    workspace = vowpalwabbit.Workspace(arguments)
    for row in rows[:1500]:
        examples = workspace.parse(json.dumps(row))
        workspace.learn(examples)
        workspace.finish_example(examples)
    workspace.finish()
    log = write(tmp_path / "log.json", rows[1500:])
    targets = (f"vw:{model}", "logging")
    found = evaluate_dsjson(log, DsjsonPlan(targets)).policies
    learned, logging = (found[name].estimates["snips"] for name in targets)
    assert learned is not None
    assert logging is not None
    assert learned.value > logging.value + 0.1
    assert found[targets[0]].diagnosis.summary.mean_weight == pytest.approx(1, abs=0.15)


OURS = """
class Ski:
    def pmf(self, event, actions, slot):
        best = 2 if event["c"]["sport"] == "ski" else 1
        return [float(action == best) for action in actions]

class Half(Ski):
    def pmf(self, event, actions, slot):
        return [p / 2 for p in super().pmf(event, actions, slot)]

class Nothing:
    pass
"""


def test_a_class_of_ones_own_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees the line, the actions and the slot; what is no pmf is an error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_dsjson.py").write_text(OURS, encoding="utf-8")
    log = write(tmp_path / "log.json", events())
    found = evaluate_dsjson(log, DsjsonPlan(("own_dsjson:Ski", "logging"))).policies
    assert value(found["own_dsjson:Ski"]) > value(found["logging"])
    for name in ("own_dsjson:Half", "own_dsjson:Nothing", "own_dsjson:Absent"):
        with pytest.raises(UnusableLearnerError):
            evaluate_dsjson(log, DsjsonPlan((name,)))


def test_what_cannot_be_evaluated(tmp_path: Path) -> None:
    """Absent files, empty logs, unknown policies and files that are no model have their errors."""
    log = write(tmp_path / "log.json", events(30))
    rubbish = write(tmp_path / "model.vw", ["no model"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(TableFormatError):
        evaluate_dsjson(tmp_path / "absent.json", DsjsonPlan())
    with pytest.raises(TableFormatError):
        evaluate_dsjson(tmp_path / "empty", DsjsonPlan())
    with pytest.raises(EmptyTableError):
        evaluate_dsjson(write(tmp_path / "none.json", ["{"]), DsjsonPlan())
    with pytest.raises(UnknownTargetError, match="`action/NUMBER`"):
        evaluate_dsjson(log, DsjsonPlan(("fixed/mens",)))
    for model in (rubbish, tmp_path / "absent.vw"):
        with pytest.raises(BadModelError):
            evaluate_dsjson(log, DsjsonPlan((f"vw:{model}",)))
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(log.read_bytes())[:-20])
    with pytest.raises(TableFormatError):
        evaluate_dsjson(cut, DsjsonPlan())
