"""The command line as a person uses it, over a log with a planted preference."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from tests.replay.history import LATER_MS, history
from tests.replay.worlds import WORLD, live

DECISIONS = 600
AS_OF = f"{datetime.fromtimestamp(LATER_MS / 1000, UTC):%Y-%m-%dT%H:%M:%S}"


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever JSON the command prints
        """Its standard output, which must be one line of strict JSON."""
        assert self.out.count("\n") == 1
        return json.loads(self.out, parse_constant=_refuse)


Sendwise = Callable[..., Outcome]


@pytest.fixture
def sendwise(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sendwise:
    """Runs a command in this process, through the very function that the program runs."""
    monkeypatch.delenv("SENDWISE_DATA", raising=False)

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["sendwise", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            run()
        printed = capsys.readouterr()
        code = caught.value.code
        return Outcome(code if isinstance(code, int) else 0, printed.out, printed.err)

    return call


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose log nobody writes to any more; not to be changed."""
    directory = tmp_path_factory.mktemp("shop") / "data"
    with history(directory, WORLD) as past:
        live(past, DECISIONS)
    return directory


@pytest.fixture
def data(lived: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(lived, tmp_path / "data"))
