"""`sendwise simulate` prints what the library found, as text and as JSON."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app
from replay.simulator import LEARNERS, ReferenceWorld, make_learner, simulate
from replay.simulator.errors import PictureFormatError, UnusableLearnerError
from replay.simulator.trial import CASES, STATEMENTS


def _simulate(*options: str) -> str:
    result = CliRunner().invoke(app, ["simulate", *options], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("policy", sorted(LEARNERS))
def test_json_holds_the_run(policy: str) -> None:
    """The output is one JSON object whose figures are those of the same run in the library."""
    options = ("--world", "reference", "--base", "-4.5", "--seed", "3", "--rounds", "60")
    told = json.loads(_simulate(*options, "--policy", policy, "--format", "json"))
    expected = simulate(ReferenceWorld(-4.5, 3), make_learner(policy), 60)
    assert told["captured"] == expected.captured
    assert told["rounds_per_second"] > 0
    assert {"policy": policy, "base": -4.5, "seed": 3}.items() <= told.items()
    assert {"world": "reference", "rounds": 60}.items() <= told.items()


def test_text_ends_with_the_captured_share() -> None:
    """A person reads a curve and one line that says how well it went."""
    expected = simulate(ReferenceWorld(-3.2, 0), make_learner("uniform"), 40)
    lines = _simulate("--rounds", "40", "--policy", "uniform").splitlines()
    assert lines[0].split() == ["rounds", "captured", "regret"]
    assert lines[-2].split()[0] == "40"
    assert f"uniform captured {expected.captured:.3f} of the way" in lines[-1]


@pytest.mark.parametrize(
    "options",
    [("--rounds", "0"), ("--seed", "-1"), ("--base", "21"), ("--rounds", "many")],
)
def test_options_out_of_range_are_refused(options: tuple[str, ...]) -> None:
    """A wrong option is a usage error that names it, before anything runs."""
    result = CliRunner().invoke(app, ["simulate", *options])
    assert result.exit_code == 2
    assert options[0] in result.stderr


@pytest.mark.parametrize(
    ("options", "known"), [(("--policy", "best"), "chain"), (("--world", "real"), "reference")]
)
def test_unknown_names_end_the_command_with_one_line(options: tuple[str, str], known: str) -> None:
    """The whole program exits with 1 and says in one line what there is."""
    program = [sys.executable, "-c", "from cli.main import run; run()", "simulate", *options]
    result = subprocess.run(program, check=False, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stdout == ""
    assert repr(options[1]) in result.stderr
    assert known in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_check_says_what_holds() -> None:
    """A policy that keeps all promises passes, property by property."""
    lines = _simulate("--policy", "best_so_far", "--check").splitlines()
    assert [line.split() for line in lines[1:-1]] == [[name, "held"] for name in STATEMENTS]
    assert lines[-1] == f"best_so_far conforms, in {CASES} situations"


def test_check_ends_with_1_where_something_does_not_hold() -> None:
    """A broken class of one's own fails, and text and JSON say in what."""
    options = ["simulate", "--policy", "tests.replay.simulator.broken:Boundless", "--check"]
    text = CliRunner().invoke(app, options)
    assert text.exit_code == 1
    assert "values: Values are there for all actions of a stage" in text.stdout
    told = CliRunner().invoke(app, [*options, "--format", "json"])
    assert told.exit_code == 1
    found = json.loads(told.stdout)
    assert found["conforms"] is False
    failed = {one["name"] for one in found["properties"] if not one["held"]}
    assert failed == {"values", "hostile"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("WrongShape", "its pmf after () has the shape"),
        ("Negative", "has a probability that is negative"),
        ("Grudging", "its learn raised ValueError: a loss"),
    ],
)
def test_a_run_ends_at_the_first_answer_that_is_none(name: str, said: str) -> None:
    """No figure comes of what is no pmf, and no stack trace of somebody's class."""
    spec = f"tests.replay.simulator.broken:{name}"
    with pytest.raises(UnusableLearnerError, match=re.escape(said)):
        _simulate("--world", "campaign", "--rounds", "3000", "--policy", spec)


def test_several_policies_stand_by_name() -> None:
    """Each has what it has alone, under its name; text has a table and a line for each."""
    options = ("--rounds", "40", "--policy", "uniform", "--policy", "best_so_far")
    told = json.loads(_simulate(*options, "--format", "json"))
    assert list(told["policies"]) == ["uniform", "best_so_far"]
    alone = json.loads(_simulate(*options[:4], "--format", "json"))
    speed = "rounds_per_second"
    assert {**told["policies"]["uniform"], speed: 0} == {**alone, speed: 0}
    text = _simulate(*options)
    assert text.index("uniform captured") < text.index("best_so_far captured")


def test_plot_writes_a_picture(tmp_path: Path) -> None:
    """The curves are in the file, and all else is printed as without it."""
    path = tmp_path / "curves.svg"
    lines = _simulate("--rounds", "40", "--policy", "uniform", "--plot", str(path)).splitlines()
    assert lines[-1].startswith("uniform captured")
    assert path.read_text(encoding="utf-8").startswith("<?xml")


def test_a_picture_of_unknown_kind_is_refused_before_the_run(tmp_path: Path) -> None:
    """Nobody waits for a run whose picture cannot be drawn."""
    options = ["simulate", "--rounds", "1000000000", "--plot", str(tmp_path / "curves.gif")]
    result = CliRunner().invoke(app, options)
    assert isinstance(result.exception, PictureFormatError)
