"""Acts of those who run the service stay in the audit trail of the log."""

import os
from pathlib import Path

import pytest

from decisionlog import AuditKind, DecisionLog, InvalidRecord, LogReadOnly, this_user
from decisionlog.store import Store
from tests.decisionlog.samples import KEYS, MAP_SIZE_BYTES


def open_log(directory: Path, clock_ms: int = 1_000, *, read_only: bool = False) -> DecisionLog:
    """Open a log whose clock stands still."""
    return DecisionLog.open(
        directory,
        keys=KEYS,
        read_only=read_only,
        map_size_bytes=MAP_SIZE_BYTES,
        clock_ms=lambda: clock_ms,
    )


def test_an_act_is_kept_with_who_and_when(tmp_path: Path) -> None:
    """What was recorded is read again, after the log was closed, in the order of time."""
    with open_log(tmp_path, 2_000) as log:
        later = log.record_act(AuditKind.EXPORT, {"rows": 3, "form": "parquet"}, by="token ab")
    with open_log(tmp_path, 1_000) as log:
        earlier = log.record_act(AuditKind.BACKUP, {})
    with open_log(tmp_path, read_only=True) as log:
        assert list(log.audit_trail()) == [earlier, later]
    assert later.details == (("form", "parquet"), ("rows", "3"))
    assert (later.actor, later.occurred_at_ms) == ("token ab", 2_000)
    assert (earlier.actor, earlier.occurred_at_ms) == (this_user(), 1_000)


def test_acts_of_one_moment_are_all_kept(tmp_path: Path) -> None:
    """None takes the place of another."""
    with open_log(tmp_path) as log:
        acts = [log.record_act(AuditKind.RETAIN, {"slice": number}) for number in range(50)]
        assert list(log.audit_trail()) == acts


def test_what_has_no_stored_form_is_refused(tmp_path: Path) -> None:
    """A text with a lone surrogate is an error, and the trail stays empty."""
    with open_log(tmp_path) as log:
        with pytest.raises(InvalidRecord):
            log.record_act(AuditKind.EXPORT, {"to": "\ud800"})
        assert list(log.audit_trail()) == []


def test_a_log_that_is_read_records_nothing(tmp_path: Path) -> None:
    """Acts are written, so the log must be open for writing."""
    open_log(tmp_path).close()
    with open_log(tmp_path, read_only=True) as log, pytest.raises(LogReadOnly):
        log.record_act(AuditKind.EXPORT, {})


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container a user may be a bare number."""
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_123)
    assert this_user() == "user 4000000123"


def test_a_log_keeps_its_size_unless_told(tmp_path: Path) -> None:
    """Who opens a log without a size for its map takes the one that it has."""
    with Store(tmp_path, map_size_bytes=MAP_SIZE_BYTES) as store, store.write() as transaction:
        store.open_tables(transaction)
    with Store(tmp_path) as store:
        assert store._environment.info()["map_size"] == MAP_SIZE_BYTES
