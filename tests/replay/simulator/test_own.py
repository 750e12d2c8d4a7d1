"""Classes of your own are found from the working directory, and mistakes are told plainly."""

from pathlib import Path

import pytest

from replay.simulator import ReferenceWorld, make_learner, run_trial, simulate
from replay.simulator.errors import UnusableLearnerError

MODULE = "tests.replay.simulator.broken"


def test_a_class_of_your_own_is_a_learner() -> None:
    """It runs, may learn or not, and has its own version."""
    learner = make_learner(f"{MODULE}:Sound")
    assert simulate(ReferenceWorld(), learner, 50).learner == "sound"
    learner.close()


def test_it_is_found_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file beside which the command is run need not be installed."""
    text = "from policy.policies import Uniform\nclass Mine(Uniform):\n    version = 'mine'\n"
    (tmp_path / "written_by_a_user.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere"])
    assert make_learner("written_by_a_user:Mine").version == "mine"


def test_what_it_can_do_is_done() -> None:
    """It learns and is closed if it has the methods; a floor that it declares is checked."""
    learner = make_learner("replay.simulator.learners:OnlineChain")
    assert learner.version == "chain"
    situation = ReferenceWorld().situations()[0]
    before = learner.pmf(situation, ())
    for _ in range(20):
        learner.learn(situation, (1, 0, 0), 1.0)
    assert learner.pmf(situation, ())[1] > before[1]
    learner.close()
    trial = run_trial("x", lambda: make_learner(f"{MODULE}:BelowItsFloor"), situations=2)
    assert "floor" in {one.name for one in trial.properties if not one.held}


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("no_such_module:Mine", "importing 'no_such_module' raised ModuleNotFoundError"),
        (":Mine", "importing '' raised ValueError"),
        (f"{MODULE}:Nobody", "has no class 'Nobody'"),
        (f"{MODULE}:", "has no class ''"),
        (f"{MODULE}:NOT_CALLABLE", "has no class 'NOT_CALLABLE'"),
        (f"{MODULE}:Halting", "calling it raised RuntimeError: no"),
        (f"{MODULE}:Mute", "a policy has pmf, values as well"),
    ],
)
def test_what_cannot_be_used_is_told(spec: str, problem: str) -> None:
    """The error names the class and what is wrong with it."""
    with pytest.raises(UnusableLearnerError) as caught:
        make_learner(spec)
    assert problem in caught.value.problem
    assert repr(spec) in str(caught.value)
