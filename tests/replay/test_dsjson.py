"""Logs of decision-service JSON: evaluated as their rows say, damaged lines named, models asked."""

import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vowpalwabbit
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.dsjson import DsjsonPlan, evaluate_dsjson
from replay.dsjson.features import question_of
from replay.dsjson.lines import DamagedLineError, draws_of
from replay.dsjson.model import BadModelError, VwModel
from replay.dsjson.targets import UnknownActionError, UnknownTargetError
from replay.errors import BadValueError, EmptyTableError, TableFormatError
from replay.estimate import Bounds
from replay.evaluation import EvaluationResult
from replay.intervals.settings import IntervalSettings, Method
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
    "has a _label_cost beyond 1e+60": {"_label_cost": 10**400},
    "has no number as _label_probability": {"_label_probability": None},
    "has no list p": {"p": []},
    "has a probability in p below 0 or above 1": {"p": [1.3, -0.2, -0.1]},
    "has probabilities that do not sum to 1": {"p": [0.7, 0.2, 0.2]},
    "has another number of actions than of probabilities": {"p": [0.7, 0.3]},
    "names an action of a twice": {"a": [1, 1, 2]},
    "has actions in a that are no whole numbers": {"a": [1, "2", 3]},
    "has an action in a below 1": {"a": [1, 0, 2]},
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


def test_labels_of_rare_actions_are_compared(tmp_path: Path) -> None:
    """A probability of 1e-5 that the label states as 1.1e-4 would count an eleventh."""
    rare = {"a": [1, 2], "p": [1e-5, 1 - 1e-5], "_label_Action": 1, "_label_cost": -1.0}
    sound, wrong = ({**rare, "_label_probability": p} for p in (1.0005e-5, 1.1e-4))
    found = evaluate_dsjson(write(tmp_path / "log.json", [sound, wrong]), DsjsonPlan())
    reason = "has a _label_probability that is not that of its action in p"
    assert found.left_json()["damaged"] == {reason: {"count": 1, "lines": ["log.json:2"]}}


def test_broken_promises_name_the_line(tmp_path: Path) -> None:
    """A reward out of bounds far into a file, and after other lines, is named by its line."""
    declared = IntervalSettings(Method.SEQUENCE, bounds=Bounds(0.0, 1.0))
    odd = {**events(1)[0], "_label_cost": -7}
    log = write(tmp_path / "log.json", ["{", "", {"EventId": "x"}, *events(2996), odd])
    with pytest.raises(BadValueError, match=r"log\.json:3000, column reward: 7\.0 lies outside"):
        evaluate_dsjson(log, DsjsonPlan(("logging",), ("ips",), declared))


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


def test_lines_are_stood_for_by_their_choices(tmp_path: Path) -> None:
    """Slots, some of lines that speak of dropping, beside skipped lines: where all earn 1, 1."""
    slots = {"_outcomes": [{"_label_cost": -1, "_a": [1, 0], "_p": [0.5, 0.5]}] * 3}
    skipped = {**events(1)[0], "_skipLearn": True}
    lines = [slots, {**slots, "pdrop": 0.9}, skipped, {**skipped, "pdrop": 0.5}] * 100
    found = evaluate_dsjson(write(tmp_path / "log.json", lines), DsjsonPlan()).policies["logging"]
    assert found.n == 600
    assert value(found, "ips") == value(found, "snips") == pytest.approx(1)


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


def trained(model: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """A model of Vowpal Wabbit's that has learned from lines."""
    arguments = f"--dsjson --cb_explore_adf --epsilon 0.1 -q :: --quiet -f {model}"
    workspace = vowpalwabbit.Workspace(arguments)
    for row in rows:
        examples = workspace.parse(json.dumps(row))
        workspace.learn(examples)
        workspace.finish_example(examples)
    workspace.finish()
    return model


def test_a_model_of_vowpal_wabbit_chooses(tmp_path: Path) -> None:
    """A trained model's probabilities are VW's own; it knows who skis, and is worth more."""
    rows = events(2500)
    model = trained(tmp_path / "model.vw", rows[:1500])
    log = write(tmp_path / "log.json", rows[1500:])
    targets = (f"vw:{model}", "logging")
    found = evaluate_dsjson(log, DsjsonPlan(targets)).policies
    learned, logging = (found[name].estimates["snips"] for name in targets)
    assert learned is not None
    assert logging is not None
    assert learned.value > logging.value + 0.1
    assert found[targets[0]].diagnosis.summary.mean_weight == pytest.approx(1, abs=0.15)


def test_a_model_is_asked_what_the_line_asks(tmp_path: Path) -> None:
    """Texts, numbers, lists, flags and nested features: as Vowpal Wabbit answers the line."""
    rng = np.random.default_rng(3)
    rich = {
        "user": {"Größe": 1.5, "tags": [{"x": "ä b"}, {"y": 2}], "v": [1, 2.5], "old": True},
        "plain": "te xt",
        "nothing": None,
        "_text": "free words",
        "_ignored": 7,
    }
    rows = [event(rng) for _ in range(300)]
    for row in rows:
        row["c"] = {**rich, **row["c"]}
        row["c"]["_multi"] = [{"_tag": "t", "n": {"id": str(n)}} for n in range(3)]
    path = trained(tmp_path / "model.vw", rows)
    workspace = vowpalwabbit.Workspace(f"--dsjson --testonly --quiet -i {path}")
    model = VwModel(path)
    for row in rows[:20]:
        examples = workspace.parse(json.dumps(row))
        whole = workspace.predict(examples)
        workspace.finish_example(examples)
        (draw,) = draws_of(json.dumps(row).encode())
        assert model.pmf(draw) == pytest.approx([whole[action - 1] for action in draw.actions])
    assert len({round(p, 6) for p in whole}) > 1


UNREADABLE: dict[str, list[Any]] = {
    "has not as many actions in c (_multi) as in a": [3, {}, {"_multi": [{"x": 1}]}],
    "has an action in c (_multi) that is no JSON object": [{"_multi": [{}, 1, {}]}],
    "has features by reference (__aid), which are elsewhere": [{"_multi": [{"__aid": 1}] * 3}],
    "has a feature (c) that is no finite number": [
        {"x": math.nan, "_multi": [{}] * 3},
        {"_multi": [{"x": 10**400}] * 3},
    ],
    "has features (c) in a shape that Vowpal Wabbit does not read": [
        {"_multi": [{"p": [[[""]], 1]}, {}, {}]},
        {"x": [1, [2, 3]], "_multi": [{}] * 3},
        {"x": ["a"], "_multi": [{}] * 3},
    ],
    "has features (c) that are no text": [{"x": "\ud800", "_multi": [{}] * 3}],
}


def test_lines_that_no_model_can_be_asked(tmp_path: Path) -> None:
    """They are left out for all policies and named; some would end Vowpal Wabbit's process."""
    rows = events(300)
    model = trained(tmp_path / "model.vw", rows)
    odd = [{**rows[0], "c": c} for lines in UNREADABLE.values() for c in lines]
    beyond = {**rows[0], "a": [1, 2, 4], "_label_Action": 1}
    log = write(tmp_path / "log.json", [*rows, *odd, beyond])
    found = evaluate_dsjson(log, DsjsonPlan((f"vw:{model}", "logging")))
    damaged = {reason: damage.count for reason, damage in found.left.damaged.items()}
    assert damaged == {
        **{reason: len(lines) for reason, lines in UNREADABLE.items()},
        "names an action in a that c (_multi) does not have": 1,
    }
    assert [one.n for one in found.policies.values()] == [300, 300]
    others = evaluate_dsjson(log, DsjsonPlan(("logging",))).policies
    assert others["logging"].n == 300 + len(odd) + 1


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_mutated_lines_are_damaged_or_sound(seed: int) -> None:
    """Whatever byte of a real line is changed, dropped or doubled."""
    rng = np.random.default_rng(seed)
    line = bytearray(json.dumps(event(rng, pdrop=0.5)).encode())
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(len(line)))
        piece = bytes(line[place : place + int(rng.integers(1, 20))])
        other = rng.choice([b"", b"0", b"9" * 30, b"-", b"[", b"}", b'"', b"null", piece * 2])
        line[place : place + len(piece)] = bytes(other)
    try:
        found = draws_of(bytes(line))
        for draw in found:
            question_of(draw)
    except DamagedLineError:
        return
    assert all(0 < draw.probability <= 1 for draw in found)


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
    for absent in ("action/0", "action/99"):
        with pytest.raises(UnknownActionError, match=f"take {absent}; there are 1, 2, 3"):
            evaluate_dsjson(log, DsjsonPlan((absent,)))
    with pytest.raises(UnknownTargetError, match="`action/NUMBER`"):
        evaluate_dsjson(log, DsjsonPlan(("fixed/mens",)))
    for model in (rubbish, tmp_path / "absent.vw"):
        with pytest.raises(BadModelError):
            evaluate_dsjson(log, DsjsonPlan((f"vw:{model}",)))
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(log.read_bytes())[:-20])
    with pytest.raises(TableFormatError):
        evaluate_dsjson(cut, DsjsonPlan())
