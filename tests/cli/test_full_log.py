"""Commands on a log without room: what only reads is done, and says what it could not note."""

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from decisionlog import AuditKind, DecisionLog, LogFull
from decisionlog.store import DATA_FILE
from tests.cli.conftest import AS_OF, DECISIONS, Sendwise
from tests.cli.test_transfer import with_key

LITTLE_ROOM_BYTES = 64 * 1024


def fill(data: Path) -> None:
    """Leave no room in the log, not even for one more act."""
    with DecisionLog.open(data, keys=None, read_only=True) as log:
        used_bytes = log.store.file_bytes()
    small = data.with_name("small")
    small.mkdir()
    # A file keeps the largest map that it ever had; its copy has that of whoever makes it.
    with DecisionLog.open(data, keys=None, map_size_bytes=used_bytes + LITTLE_ROOM_BYTES) as log:
        log.store.copy_to(small, lambda _: None)
    (small / DATA_FILE).replace(data / "log" / DATA_FILE)
    with DecisionLog.open(data, keys=None) as log:
        for size in (1_000, 0):
            with pytest.raises(LogFull):
                fill_with(log, "x" * size)


def fill_with(log: DecisionLog, what: str) -> NoReturn:
    """Note the same act until there is no room."""
    while True:
        log.record_act(AuditKind.SERVE, {"what": what})


def backup(sendwise: Sendwise, data: Path, place: Path) -> None:
    """The backup is whole: it can be restored."""
    ended = sendwise("backup", place / "backup", "--data", data)
    said(ended.code, ended.err, "backup")
    restored = sendwise("restore", place / "backup", "--data", place / "new", "--format", "json")
    assert restored.json["decisions"] == DECISIONS


def export(sendwise: Sendwise, data: Path, place: Path) -> None:
    """All decisions are in the tables."""
    ended = sendwise(
        "export",
        "--parquet",
        place / "tables",
        "--data",
        data,
        "--as-of",
        AS_OF,
        "--format",
        "json",
    )
    said(ended.code, ended.err, "export")
    assert ended.json["rows"]["decisions"] == DECISIONS


def export_subject(sendwise: Sendwise, data: Path, place: Path) -> None:
    """The subject gets what is held of it."""
    del place
    with_key(data)
    ended = sendwise("export-subject", "--subject", "customer-1", "--data", data)
    said(ended.code, ended.err, "export_subject")
    assert ended.json["items"]


def said(code: int, err: str, kind: str) -> None:
    """It ended well, with one line about what is missing."""
    assert code == 0
    assert err.count("\n") == 1
    assert "warning" in err
    assert f"no entry of this {kind}" in err
    assert "map is full" in err


@pytest.mark.parametrize("command", [backup, export, export_subject])
def test_what_reads_a_full_log_succeeds_and_warns(
    sendwise: Sendwise, data: Path, tmp_path: Path, command: Callable[[Sendwise, Path, Path], None]
) -> None:
    """A backup of a full log is what its operator needs most: its work is done, and told so."""
    fill(data)
    command(sendwise, data, tmp_path)
