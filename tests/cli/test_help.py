"""Every command explains itself, and every mistake ends with one clear line."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from cli.commands import MODULES, Commands
from tests.cli.conftest import Sendwise

NAMES = sorted(MODULES)
ON_A_LOG = [
    "train",
    "evaluate",
    "report",
    "models",
    "rollback",
    "verify",
    "ledger",
    "audit",
    "metrics",
    "rekey",
    "check-log",
    "migrate",
]
OTHERS = [
    "check",
    "serve",
    "promote",
    "simulate",
    "erase",
    "export-subject",
    "retain",
    "backup",
    "export",
    "restore",
]


def test_the_commands_are_the_documented_ones() -> None:
    """What the design promises for now, no more and no less."""
    assert sorted([*OTHERS, *ON_A_LOG]) == NAMES


def test_help_lists_every_command(sendwise: Sendwise) -> None:
    """Each with a sentence; without any argument the same is shown."""
    shown = sendwise("--help")
    assert shown.code == 0
    for name in NAMES:
        (line,) = (line for line in shown.out.splitlines() if line.split()[:1] == [name])
        assert len(line.split()) > 3
        assert not line.endswith("...")
    assert "Usage: sendwise" in sendwise().out + sendwise().err


def test_the_version_is_told(sendwise: Sendwise) -> None:
    """Whoever reports a fault can say with what."""
    shown = sendwise("--version")
    assert (shown.code, shown.out) == (0, f"sendwise {importlib.metadata.version('sendwise')}\n")


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help(sendwise: Sendwise, name: str) -> None:
    """It says what the command does, and what each option means."""
    shown = sendwise(name, "--help")
    assert (shown.code, shown.err) == (0, "")
    assert f"Usage: sendwise {name}" in shown.out
    documentation = Commands().commands[name].callback.__doc__ or ""
    assert documentation.splitlines()[0] in " ".join(shown.out.split())


@pytest.mark.parametrize("name", ON_A_LOG)
@pytest.mark.parametrize("form", ["text", "json"])
def test_without_a_log_there_is_one_line(
    sendwise: Sendwise, tmp_path: Path, name: str, form: str
) -> None:
    """On standard error, with exit code 1; nothing is printed, and no directory is made."""
    missing = tmp_path / "nowhere"
    ended = sendwise(name, "--data", missing, "--format", form)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("sendwise: ")
    assert ended.err.count("\n") == 1
    assert str(missing) in ended.err
    assert "start" in ended.err
    assert not missing.exists()


def test_a_mistyped_option_is_a_usage_error(sendwise: Sendwise) -> None:
    """Exit code 2, as shells expect it, and the name of the option."""
    ended = sendwise("verify", "--dta", "x")
    assert (ended.code, ended.out) == (2, "")
    assert "--dta" in ended.err


@pytest.mark.parametrize("value", ["nan", "inf", "0", "-1", "1e30"])
@pytest.mark.parametrize("option", ["--map-size-gib", "--retain-gib"])
def test_a_size_that_is_none_is_a_usage_error(
    sendwise: Sendwise, tmp_path: Path, option: str, value: str
) -> None:
    """The option is named under which it was given, and nothing is begun."""
    ended = sendwise("serve", "--data", tmp_path / "data", option, value)
    assert (ended.code, ended.out) == (2, "")
    assert option in ended.err
    assert not (tmp_path / "data").exists()


def test_settings_are_named_as_options(sendwise: Sendwise, tmp_path: Path) -> None:
    """Those that are wrong, and those that they are held against."""
    data = tmp_path / "data"
    ended = sendwise("serve", "--data", data, "--key-file", data / "key")
    assert (ended.code, ended.out) == (1, "")
    assert (
        ended.err
        == "sendwise: --key-file: should be outside --data, so that no backup holds both\n"
    )


def test_the_environment_names_the_directory(
    sendwise: Sendwise, lived: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SENDWISE_DATA stands in for --data."""
    monkeypatch.setenv("SENDWISE_DATA", str(lived))
    assert sendwise("verify", "--format", "json").json["decisions"] == 600


def test_the_program_is_installed() -> None:
    """The command that the package installs is the one that is tested here."""
    program = Path(sys.executable).with_name("sendwise")
    shown = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
    assert "Usage: sendwise" in shown.stdout


def test_only_the_command_that_is_asked_for_is_loaded() -> None:
    """The others would cost each start a second, and each process of an evaluation its memory."""
    code = "import cli.app, sys; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(shown.stdout.split())
    assert (
        not {"pyarrow", "numba", "vowpalwabbit", *(f"cli.{one}" for one in MODULES.values())}
        & loaded
    )


def test_ctrl_c_while_loading_prints_nothing() -> None:
    """Loading takes a second; who changes their mind within it sees no stack trace."""
    code = """
import sys

class Impatient:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Impatient())
from cli.main import run
run()
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
