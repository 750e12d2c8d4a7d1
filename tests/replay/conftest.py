"""An empty log for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.replay.history import History, history

# Deadlines are timed assertions: the machine may be busy, and code is compiled on its first call.
settings.register_profile("replay", deadline=None)
settings.load_profile("replay")


@pytest.fixture
def past(tmp_path: Path) -> Iterator[History]:
    """The shop's log: one policy, uniform, for everybody."""
    with history(tmp_path / "data") as found:
        yield found
