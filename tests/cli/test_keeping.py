"""`sendwise retain`."""

from pathlib import Path

import pytest

from decisionlog import DecisionLog
from tests.cli.conftest import DECISIONS, Sendwise
from tests.replay.history import KEYS


@pytest.mark.usefixtures("lived")
def test_what_is_old_goes(sendwise: Sendwise, data: Path) -> None:
    """All decisions of this log are long past: none is left, and the books balance."""
    ended = sendwise("retain", "--data", data, "--older-than", "1h")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"removed {DECISIONS} decisions, {DECISIONS} deliveries")
    found = sendwise("ledger", "--data", data, "--format", "json").json
    assert found["balanced"] is True
    assert (found["decided"], found["decisions_expired"]) == (DECISIONS, DECISIONS)


@pytest.mark.parametrize(("options", "left"), [([], DECISIONS), (["--request-days", "30"], 0)])
def test_request_ids_go_only_where_that_is_asked_for(
    sendwise: Sendwise, data: Path, options: list[str], left: int
) -> None:
    """A server may keep them for longer than any number of days that stood here."""
    found = sendwise("retain", "--data", data, *options, "--format", "json").json
    assert (found["decisions"], found["within_size"]) == (0, True)
    with DecisionLog.open(data, keys=KEYS) as log:
        assert (log.counts().decisions, log.counts().requests) == (DECISIONS, left)


def test_what_is_too_much_goes(sendwise: Sendwise, data: Path) -> None:
    """The oldest go until little enough is in use."""
    whole = sendwise("retain", "--data", data, "--format", "json").json["used_bytes"]
    limit = f"{whole * 2 // 3 / 1024:.0f}KiB"
    found = sendwise("retain", "--data", data, "--max-bytes", limit, "--format", "json").json
    assert found["used_bytes"] <= whole * 2 / 3 + 1024
    assert 0 < found["decisions"] < DECISIONS


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        ("--older-than", "400", "400d"),
        ("--older-than", "-1d", "400d"),
        ("--max-bytes", "5GB", "50GiB"),
        ("--max-bytes", "many", "50GiB"),
        ("--older-than", "9" * 400 + "y", "400d"),
        ("--request-days", "-3", "above 0"),
        ("--request-days", "0", "above 0"),
        ("--request-days", "nan", "above 0"),
    ],
)
def test_limits_have_units(
    sendwise: Sendwise, data: Path, option: str, value: str, hint: str
) -> None:
    """A number without its unit, or without sense, is refused with an example."""
    ended = sendwise("retain", "--data", data, f"{option}={value}")
    assert ended.code == 2
    assert hint in ended.err
