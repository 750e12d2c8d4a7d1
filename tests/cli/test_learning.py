"""`sendwise train`, `evaluate`, `report`, `models`, `promote`, `rollback`, one after the other."""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from decisionlog import Decision, DecisionLog, Delivery, DeliveryStatus, Proposal, Reward
from decisionlog.ids import lower_bound, to_text
from tests.cli.conftest import AS_OF, DECISIONS, Sendwise
from tests.replay.history import KEYS, LATER_MS, history, offer_of
from tests.replay.worlds import WORLD
from tests.shop import DAY_MS, START_MS


def train(sendwise: Sendwise, data: Path) -> str:
    """Trains a policy; its version."""
    found = sendwise("train", "--data", data, "--as-of", AS_OF, "--format", "json").json
    version = found["version"]
    assert isinstance(version, str)
    return version


def moment(time_ms: int) -> str:
    """A time as options take it."""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}"


def test_training_in_words(sendwise: Sendwise, data: Path) -> None:
    """One line with the version and what it learned from."""
    ended = sendwise("train", "--data", data, "--as-of", AS_OF)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("chain-")
    assert ended.out.count("\n") == 1


def test_training_in_json(sendwise: Sendwise, data: Path) -> None:
    """All interactions are learned from or held out, and what is left out is counted."""
    found = sendwise("train", "--data", data, "--as-of", AS_OF, "--format", "json").json
    assert found["interactions"] + found["held_out"] == DECISIONS
    assert found["left_out"] == {}
    assert (data / "models" / found["version"] / "manifest.json").is_file()


def test_training_has_bounds(sendwise: Sendwise, data: Path) -> None:
    """--since, --until and --held-out say which decisions."""
    middle = moment(START_MS + 1000 * (DECISIONS // 2 + 1))
    common = ("train", "--data", data, "--as-of", AS_OF, "--held-out", "0", "--format", "json")
    before = sendwise(*common, "--until", middle).json
    after = sendwise(*common, "--since", middle).json
    assert before["held_out"] == after["held_out"] == 0
    assert before["interactions"] + after["interactions"] == DECISIONS
    assert before["interactions"] == DECISIONS / 2


def test_nothing_to_learn(sendwise: Sendwise, data: Path) -> None:
    """Before any window has closed: one line that says what is needed, exit code 1."""
    ended = sendwise("train", "--data", data, "--as-of", moment(START_MS + DAY_MS))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("sendwise: the log has no interactions to learn from")
    assert ended.err.count("\n") == 1


def test_evaluating_the_champion(sendwise: Sendwise, lived: Path) -> None:
    """Without --policy it is the policy in force; the contract's keys are there."""
    found = sendwise("evaluate", "--data", lived, "--as-of", AS_OF, "--format", "json").json
    assert set(found) >= {"n", "estimates", "diagnostics", "verdict", "reasons"}
    assert (found["n"], found["verdict"]) == (DECISIONS, "ok")
    snips = found["estimates"]["snips"]
    low, high = snips["interval"]
    assert low < snips["value"] < high
    assert {"ess", "max_weight", "mean_weight"} <= set(found["diagnostics"])


def test_evaluating_several_policies(sendwise: Sendwise, lived: Path) -> None:
    """By name, with the difference from the logging policy; in words a row for each."""
    names = ("logging", "uniform", "fixed/spring", "fixed/loyal/email")
    options = [part for name in names for part in ("--policy", name)]
    common = ("evaluate", "--data", lived, "--as-of", AS_OF, *options)
    found = sendwise(*common, "--format", "json").json["policies"]
    assert tuple(found) == names
    assert found["logging"]["difference"]["interval"] == [0.0, 0.0]
    words = sendwise(*common, "--estimator", "snips").out
    for name in names:
        (row,) = (line for line in words.splitlines() if line.startswith(f"{name} "))
        assert f"{found[name]['estimates']['snips']['value']:.6g}" in row


def test_evaluating_with_another_interval(sendwise: Sendwise, lived: Path) -> None:
    """Method, level, bounds and clustering reach the intervals, and the result says so."""
    common = ("evaluate", "--data", lived, "--as-of", AS_OF, "--estimator", "snips")
    options = ("--interval", "sequence", "--level", "0.9", "--bounds", "0", "1", "--no-cluster")
    found = sendwise(*common, *options, "--format", "json").json
    assert found["level"] == 0.9
    assert found["intervals"] == {"method": "sequence", "clustered": False, "units": DECISIONS}
    assert "valid at every row" in found["estimates"]["snips"]["method"]
    assert found["comparison"]["comparisons"] == 1
    usual = sendwise(*common, "--format", "json").json
    assert (usual["intervals"]["method"], usual["intervals"]["clustered"]) == ("skew", True)


def test_an_interval_without_its_bounds_is_refused(sendwise: Sendwise, lived: Path) -> None:
    """The error says which option is missing; a level in percent is refused as well."""
    common = ("evaluate", "--data", lived, "--as-of", AS_OF)
    ended = sendwise(*common, "--interval", "sequence")
    assert (ended.code, ended.out) == (1, "")
    assert "--bounds LOW HIGH" in ended.err
    assert sendwise(*common, "--level", "95").code == 1


def test_what_is_refused_has_no_number_in_words(sendwise: Sendwise, lived: Path) -> None:
    """Text withholds it with the reason; JSON carries the numbers beside the verdict."""
    common = ("evaluate", "--data", lived, "--as-of", AS_OF, "--until", moment(START_MS + 25_000))
    words = sendwise(*common)
    assert words.code == 0
    assert "refused" in words.out
    assert "effective sample size" in words.out
    found = sendwise(*common, "--format", "json").json
    assert found["verdict"] == "refuse"
    assert found["estimates"]["snips"]["value"] is not None


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[Path, str]:
    """A log of a single interaction, and the rule that would have chosen the same."""
    with history(tmp_path / "tiny", WORLD) as past:
        decision = past.decide()
        past.deliver(decision)
        past.reward(decision)
    return tmp_path / "tiny", f"fixed/{offer_of(decision)}"


@pytest.mark.parametrize("until", [[], ["--until", moment(START_MS - DAY_MS)]])
def test_little_data_is_valid_json(
    sendwise: Sendwise, tiny: tuple[Path, str], until: list[str]
) -> None:
    """One interaction, or none, has no variance: infinite is null, since JSON has no infinity."""
    data, version = tiny
    common = ("evaluate", "--data", data, "--as-of", AS_OF, "--policy", version, *until)
    ended = sendwise(*common, "--format", "json")
    assert ended.code == 0
    assert ended.json["verdict"] == "refuse"
    assert ended.json["estimates"]["snips"]["interval"] == [None, None]
    assert "refused" in sendwise(*common).out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--policy", "chain-0"], "'chain-0' is not registered"),
        (["--policy", "fixed/sumer"], "'fixed/sumer' is no rule of this catalog"),
        (["--estimator", "magic"], "there is no estimator 'magic'"),
        (["--table", "nowhere.csv"], "nowhere.csv"),
        (["--catalog", "nowhere.toml"], "nowhere.toml is not a valid catalog"),
    ],
)
def test_what_cannot_be_evaluated(
    sendwise: Sendwise, lived: Path, options: list[str], said: str
) -> None:
    """A line on standard error that says what is wrong, exit code 1."""
    ended = sendwise("evaluate", "--data", lived, *options)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("sendwise: ")
    assert said in ended.err


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of a uniform log over two actions, and a target that always takes the better."""
    path = tmp_path / "log.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["reward", "p_log", "p_target"])
        for row in range(400):
            writer.writerow([row % 2, 0.5, row % 2])
    return path


def test_evaluating_a_table(sendwise: Sendwise, table: Path) -> None:
    """Any log will do, without a data directory."""
    found = sendwise("evaluate", "--table", table, "--format", "json").json
    assert found["n"] == 400
    assert found["estimates"]["ips"]["value"] == 1.0
    assert found["estimates"]["snips"]["value"] == 1.0
    words = sendwise("evaluate", "--table", table, "--estimator", "ips")
    assert "log.csv" in words.out
    assert "snips" not in words.out


@pytest.mark.parametrize(
    ("command", "useless"),
    [
        (["evaluate", "--table"], ["--policy", "zzz"]),
        (["evaluate", "--table"], ["--reward-model", "ridge", "--since", "2026-01-01"]),
        (["evaluate", "--table"], ["--folds", "3", "--dsjson", "log.json"]),
        (["evaluate", "--dsjson"], ["--reward-model", "ridge", "--until", "2026-01-01"]),
        (["evaluate", "--dsjson"], ["--processes", "2", "--made-by", "x"]),
        (["report", "--table"], ["--policy", "uniform", "--segment", "plan"]),
    ],
)
def test_options_that_would_change_nothing(
    sendwise: Sendwise, table: Path, command: list[str], useless: list[str]
) -> None:
    """They are refused by name: who gives them thinks that they count."""
    ended = sendwise(*command, table, *useless)
    assert (ended.code, ended.out) == (1, "")
    words = re.search(r"sendwise: (--\S+) does not go together with (.*)", ended.err)
    assert words is not None
    assert words[1] == command[1]
    assert set(words[2].split(", ")) == set(useless[::2])


def test_every_estimator_of_a_table(sendwise: Sendwise, table: Path) -> None:
    """`all` runs those whose columns are there; what they chose is told in JSON and in words."""
    common = ("evaluate", "--table", table, "--estimator", "all")
    estimates = sendwise(*common, "--format", "json").json["estimates"]
    assert list(estimates) == ["ips", "clipped_ips", "snips", "cressie_read", "mle"]
    assert [name for name, one in estimates.items() if "parameters" in one] == ["clipped_ips"]
    assert estimates["clipped_ips"]["parameters"].keys() == {"lambda"}
    assert "clipped_ips (lambda " in sendwise(*common).out


def test_a_bad_table_is_named_with_its_row(sendwise: Sendwise, table: Path) -> None:
    """File, row and column, in one line."""
    table.write_text(table.read_text().replace("0,0.5,0", "0,1.5,0", 1))
    ended = sendwise("evaluate", "--table", table)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.count("\n") == 1
    assert f"{table}: row 1, column p_log: 1.5" in ended.err


def test_models_are_listed(sendwise: Sendwise, data: Path) -> None:
    """What is in force, and every registered policy, whole."""
    version = train(sendwise, data)
    found = sendwise("models", "--data", data, "--format", "json").json
    assert found["rollout"]["sequence"] == 1
    assert [arm["policy"] for arm in found["rollout"]["arms"]] == ["uniform"]
    assert [model["version"] for model in found["models"]] == [version]
    words = sendwise("models", "--data", data).out
    assert words.startswith("rollout 1, catalog-")
    assert version in words


def test_a_better_policy_is_promoted(sendwise: Sendwise, data: Path) -> None:
    """The gate says why, the prediction is written down, and the rollout is the next."""
    version = train(sendwise, data)
    ended = sendwise("promote", version, "--data", data, "--as-of", AS_OF, "--format", "json")
    assert ended.code == 0
    gate = ended.json["gate"]
    assert (gate["passed"], gate["champion"], gate["reasons"]) == (True, "uniform", [])
    assert gate["difference"]["interval"][0] > 0
    assert ended.json["rollout"]["sequence"] == 2
    assert ended.json["rollout"]["arms"][0]["policy"] == version
    assert list((data / "predictions").iterdir())


def test_a_policy_that_is_not_better_stays_out(sendwise: Sendwise, data: Path) -> None:
    """Exit code 1 with the reasons, in words and in JSON; the rollout stays."""
    common = ("promote", "fixed/spring", "--data", data, "--as-of", AS_OF)
    words = sendwise(*common)
    assert words.code == 1
    assert words.out.startswith("fixed/spring stays out: the difference may be luck")
    found = sendwise(*common, "--format", "json")
    assert (found.code, found.json["gate"]["passed"]) == (1, False)
    rollout = sendwise("models", "--data", data, "--format", "json").json["rollout"]
    assert rollout["sequence"] == 1
    assert not (data / "predictions").exists()


def test_the_gate_may_be_tried_again_by_a_sequence(sendwise: Sendwise, data: Path) -> None:
    """The options of its interval are those of `evaluate`; what they lack is named."""
    version = train(sendwise, data)
    common = ("promote", version, "--data", data, "--as-of", AS_OF, "--format", "json")
    sequence = (*common, "--interval", "sequence")
    lacking = sendwise(*sequence)
    assert lacking.code != 0
    assert "--bounds LOW HIGH" in lacking.err
    found = sendwise(*sequence, "--bounds", "0", "1", "--level", "0.9").json["gate"]
    assert "valid at every row" in found["difference"]["method"]
    low, high = found["difference"]["interval"]
    assert -1 <= low < high <= 1


def test_a_gate_with_little_data_is_valid_json(sendwise: Sendwise, tiny: tuple[Path, str]) -> None:
    """The difference of one interaction is anywhere; the policy stays out."""
    data, version = tiny
    ended = sendwise("promote", version, "--data", data, "--as-of", AS_OF, "--format", "json")
    assert ended.code == 1
    assert ended.json["gate"]["n"] == 1
    assert ended.json["gate"]["difference"]["interval"] == [None, None]


def test_force_needs_no_gate(sendwise: Sendwise, data: Path) -> None:
    """Whoever insists is obeyed, and the answer says that it was forced."""
    ended = sendwise("promote", "fixed/spring", "--data", data, "--force", "--format", "json")
    assert ended.code == 0
    assert ended.json["forced"] is True
    assert "gate" not in ended.json
    words = sendwise("promote", "fixed/loyal", "--data", data, "--force").out
    assert words.splitlines()[0].startswith("rollout 3, ")
    assert "fixed/loyal" in words


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_an_unknown_version_is_not_promoted(
    sendwise: Sendwise, data: Path, force: list[str]
) -> None:
    """One line, exit code 1, with or without the gate."""
    ended = sendwise("promote", "chain-0", "--data", data, *force)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == ("sendwise: 'chain-0' is not registered; `sendwise models` lists what is\n")


def test_rolling_back(sendwise: Sendwise, data: Path) -> None:
    """The champion before comes back as a new rollout; where there is none there is an error."""
    ended = sendwise("rollback", "--data", data)
    assert (ended.code, ended.out) == (1, "")
    assert "there was no other champion" in ended.err
    sendwise("promote", "fixed/spring", "--data", data, "--force")
    found = sendwise("rollback", "--data", data, "--format", "json").json["rollout"]
    assert (found["sequence"], found["arms"][0]["policy"]) == (3, "uniform")
    assert "there was no other champion" in sendwise("rollback", "--data", data).err


def test_a_report_is_written(sendwise: Sendwise, data: Path, tmp_path: Path) -> None:
    """One HTML file, and its headlines in words and in JSON."""
    out = tmp_path / "report.html"
    common = ("report", "--data", data, "--as-of", AS_OF, "--out", out)
    words = sendwise(*common)
    assert (words.code, words.err) == (0, "")
    assert words.out.endswith(f"see {out}\n")
    assert out.read_text().lower().startswith("<!doctype html>")
    found = sendwise(*common, "--policy", "fixed/loyal", "--format", "json").json
    assert found["report"] == str(out)
    assert found["headlines"][0] in words.out or found["headlines"][0].startswith("fixed/loyal")


def test_a_report_that_cannot_be_written(sendwise: Sendwise, data: Path, tmp_path: Path) -> None:
    """One line that names the file."""
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "report.html"
    ended = sendwise("report", "--data", data, "--as-of", AS_OF, "--out", out)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("sendwise: ")
    assert ended.err.count("\n") == 1
    assert str(tmp_path / "file") in ended.err


def test_commands_read_while_a_server_writes(sendwise: Sendwise, data: Path) -> None:
    """They open the log for reading only, so that the server's stays the only writer."""
    before = (data / "log" / "data.mdb").read_bytes()
    train(sendwise, data)
    sendwise("ledger", "--data", data)
    assert (data / "log" / "data.mdb").read_bytes() == before
    with DecisionLog.open(data, keys=None, read_only=True) as log:
        assert log.counts().decisions == DECISIONS


def test_evaluating_with_a_reward_model(sendwise: Sendwise, lived: Path) -> None:
    """`dr` is there, narrower than `snips`, with how well the model foresaw."""
    common = ("evaluate", "--data", lived, "--as-of", AS_OF, "--policy", "fixed/spring")
    options = ("--estimator", "dr", "--estimator", "snips", "--reward-model", "ridge")
    found = sendwise(*common, *options, "--format", "json").json
    spans = {
        name: one["interval"][1] - one["interval"][0] for name, one in found["estimates"].items()
    }
    assert spans["dr"] < spans["snips"]
    assert found["reward_model"]["auc"] > 0.8
    assert sum(one["n"] for one in found["reward_model"]["reliability"]) == DECISIONS
    ended = sendwise(*common, "--reward-model", "oracle")
    assert (ended.code, ended.out) == (1, "")
    assert "there are chain, lightgbm, logistic, ridge" in ended.err


def test_evaluating_json_of_others(sendwise: Sendwise, tmp_path: Path) -> None:
    """Policies by name, lines that were left out by why; in words and in JSON."""
    sound = {"_label_cost": -1, "_label_probability": 0.5, "a": [1, 2], "p": [0.5, 0.5]}
    log = tmp_path / "log.json"
    texts = [json.dumps(sound | {"_label_cost": -(turn % 2)}) for turn in range(400)]
    log.write_text("\n".join([*texts, "{", '{"EventId": "x"}']), encoding="utf-8")
    found = sendwise("evaluate", "--dsjson", log, "--format", "json").json
    assert found["policies"]["uniform"]["estimates"]["ips"]["value"] == 0.5
    assert found["lines"] == 402
    assert found["left_out"]["unlabelled"] == 1
    assert found["left_out"]["damaged"]["is not JSON"] == {"count": 1, "lines": ["log.json:401"]}
    ended = sendwise("evaluate", "--dsjson", log)
    assert "1 lines left out, since the line is not JSON: log.json:401" in ended.out
    ended = sendwise("evaluate", "--dsjson", tmp_path / "absent")
    assert (ended.code, ended.err) == (
        1,
        f"sendwise: {tmp_path / 'absent'}: there is no such file or directory\n",
    )


@pytest.mark.parametrize("bound", ["as_of", "until_id"])
def test_the_same_command_again_prints_the_same_bytes(
    sendwise: Sendwise, data: Path, bound: str
) -> None:
    """With new decisions, deliveries and rewards in between: whatever reads interactions.

    Of a report all but the ledger, which is of the whole log.
    """
    with DecisionLog.open(data, keys=KEYS, read_only=True) as log:
        last = [logged.decision for logged in log.scan()][-1]
    after = AS_OF if bound == "as_of" else "2100-01-01"
    options = ["--as-of", after, "--format", "json", "--data", data]
    options += ["--until-id", to_text(last.decision_id)] if bound == "until_id" else []
    lines = data.with_name("lines")
    commands: list[tuple[object, ...]] = [
        ("evaluate", "--policy", "uniform"),
        ("train",),
        ("metrics",),
        ("export", "--dsjson", lines),
    ]
    before = [sendwise(*command, *options).out for command in commands]
    reported, written = _report(sendwise, data, options), lines.read_bytes()
    _live_on(data, last, rewards=int(bound == "as_of"))
    assert [sendwise(*command, *options).out for command in commands] == before
    assert _report(sendwise, data, options) == reported
    assert lines.read_bytes() == written
    whole = sendwise("evaluate", "--policy", "uniform", "--as-of", "2100-01-01", *options[2:6])
    assert whole.json["n"] > json.loads(before[0])["n"]


def _report(sendwise: Sendwise, data: Path, options: Sequence[object]) -> dict[str, object]:
    """What a report says for programs, without the ledger."""
    place = data.with_name("report.html")
    found = sendwise("report", "--policy", "uniform", "--out", place, *options)
    return {name: said for name, said in found.json.items() if name != "ledger"}


def _live_on(data: Path, last: Decision, rewards: int) -> None:
    """More decisions with reports, and rewards of an old one that come late, after `AS_OF`."""
    later_ms = LATER_MS + 1_000
    in_time_ms = last.decided_at_ms + 1
    with DecisionLog.open(data, keys=KEYS) as log:
        for number in range(40):
            id_ = lower_bound(later_ms + number)[:6] + last.decision_id[6:]
            log.record([Proposal(replace(last, decision_id=id_))])
            report = (id_, f"d{number}", DeliveryStatus.SENT, later_ms + number, later_ms + number)
            log.report_deliveries([Delivery(*report)])
        for number in range(rewards):
            reward = Reward(last.decision_id, f"l{number}", "visit", 9.0, in_time_ms, later_ms)
            log.report_rewards([reward])
