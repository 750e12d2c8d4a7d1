"""A running service for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.server.service import Service, running

# Deadlines are timed assertions, and the machine may be busy.
settings.register_profile(
    "server",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """The shop's service: one policy, uniform, for everybody."""
    with running(tmp_path / "data") as found:
        yield found
