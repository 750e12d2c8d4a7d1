"""The log when its directory cannot be written, and when the clock is set back between starts."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from decisionlog import DecisionIds, DecisionLog, LogUnavailable, Proposal
from decisionlog.checking import Finding, check
from decisionlog.ids import time_ms
from tests.decisionlog.samples import DECISION, KEYS, MAP_SIZE_BYTES

NOBODY = 65_534
HOUR_MS = 3_600_000
NOON_MS = 1_800_000_000_000


def open_log(directory: Path, clock_ms: int = NOON_MS, *, read_only: bool = False) -> DecisionLog:
    """Open a log under a clock that stands still."""
    return DecisionLog.open(
        directory,
        keys=KEYS,
        read_only=read_only,
        map_size_bytes=MAP_SIZE_BYTES,
        clock_ms=lambda: clock_ms,
    )


@contextmanager
def without_rights() -> Iterator[None]:
    """Lets this process do no more than a stranger may, as far as files go."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def closed() -> Iterator[Path]:
    """A log in a directory that nobody may write to, its owner included."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own is closed to others altogether
        directory = Path(name)
        open_log(directory).close()
        for path, mode in ((directory, 0o555), (directory / "log", 0o555)):
            path.chmod(mode)
        for file in (directory / "log").iterdir():
            file.chmod(0o444)
        yield directory
        for path in (directory, directory / "log"):
            path.chmod(0o755)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_directory_that_cannot_be_written_is_told(
    closed: Path,
    read_only: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """The log is not available, by its directory and the system's reason; nothing is changed."""
    before = (closed / "log" / "data.mdb").read_bytes()
    with without_rights(), pytest.raises(LogUnavailable) as caught:
        open_log(closed, read_only=read_only)
    assert str(closed) in str(caught.value)
    assert "Permission denied" in str(caught.value)
    assert (closed / "log" / "data.mdb").read_bytes() == before


def test_a_clock_that_was_set_back_between_two_starts_loses_nothing(tmp_path: Path) -> None:
    """Ids of the second run are below those of the first; all is there, in order, and sound."""
    made = []
    for clock_ms in (NOON_MS, NOON_MS - HOUR_MS):
        ids = DecisionIds(lambda now=clock_ms: now)  # type: ignore[misc]
        with open_log(tmp_path, clock_ms) as log:
            for number in range(20):
                decision = replace(DECISION, decision_id=ids.new())
                key = KEYS.request_key(f"{clock_ms} {number}")
                assert log.record([Proposal(decision, key)]) == [decision]
                assert log.find_request(key) == decision
                made.append(decision.decision_id)
    with open_log(tmp_path, read_only=True) as log:
        found = [logged.decision.decision_id for logged in log.scan()]
        findings: list[Finding] = []
        check(log.store, findings.append)
    assert found == sorted(made)
    assert {time_ms(each) for each in found} == {NOON_MS, NOON_MS - HOUR_MS}
    assert findings == []
