"""An empty log for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.replay.history import History, history


@pytest.fixture
def past(tmp_path: Path) -> Iterator[History]:
    """The shop's log: one policy, uniform, for everybody."""
    with history(tmp_path / "data") as found:
        yield found
