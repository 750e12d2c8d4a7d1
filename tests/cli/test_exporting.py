"""`sendwise export`."""

from pathlib import Path

import pytest

from decisionlog import DecisionLog
from decisionlog.tables import Table
from tests.cli.conftest import AS_OF, DECISIONS, Sendwise


def test_tables_are_exported_and_evaluated(sendwise: Sendwise, data: Path, tmp_path: Path) -> None:
    """`evaluate --table` says of the exported table what `evaluate` says of the log."""
    tables = tmp_path / "tables"
    options = ("--data", data, "--as-of", AS_OF, "--format", "json")
    found = sendwise("export", "--parquet", tables, "--policy", "fixed/spring", *options).json
    assert found["rows"]["decisions"] == DECISIONS
    estimators = ("--estimator", "ips", "--estimator", "snips")
    of_log = sendwise("evaluate", "--policy", "fixed/spring", *estimators, *options).json
    table = tables / "evaluation" / "fixed%2Fspring"
    of_table = sendwise("evaluate", "--table", table, *estimators, "--format", "json").json
    assert of_table["estimates"] == of_log["estimates"]
    assert of_table["n"] == of_log["n"]
    again = sendwise("export", "--parquet", tables, "--policy", "fixed/spring", *options).json
    assert (again["days"], again["skipped_days"]) == ([], len(found["days"]))
    assert again["stale_policies"] == []
    earlier = ("--data", data, "--as-of", "2026-03-10")
    ended = sendwise("export", "--parquet", tables, *earlier)
    assert "the table of fixed/spring is older than the others" in ended.out
    audited = sendwise("audit", "--data", data, "--format", "json").json["entries"]
    assert [one["kind"] for one in audited] == ["export"] * 3


def test_lines_are_exported(sendwise: Sendwise, data: Path, tmp_path: Path) -> None:
    """A line an interaction."""
    file = tmp_path / "lines.json"
    ended = sendwise("export", "--dsjson", file, "--data", data, "--as-of", AS_OF)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith(f"{DECISIONS} lines\n")
    assert len(file.read_text().splitlines()) == DECISIONS


def test_damage_is_told(sendwise: Sendwise, data: Path, tmp_path: Path) -> None:
    """A damaged record is left out, and a warning says where to look."""
    with DecisionLog.open(data, keys=None) as log:
        decision_id = next(log.scan()).decision.decision_id
        with log.store.write() as transaction:
            transaction.put(Table.DECISIONS, decision_id, b"rubbish")
    tables, lines = tmp_path / "tables", tmp_path / "lines.json"
    options = ("--data", data, "--as-of", AS_OF)
    ended = sendwise("export", "--parquet", tables, "--dsjson", lines, *options)
    assert ended.code == 0
    assert "`sendwise check-log` names them" in ended.err
    assert "1 decisions are left out" in ended.err
    assert len(lines.read_text().splitlines()) == DECISIONS - 1
    evaluated = sendwise("evaluate", "--policy", "uniform", *options, "--format", "json")
    assert evaluated.json["left_out"] == {"damaged": 1}
    assert "check-log" in evaluated.err


@pytest.mark.usefixtures("tmp_path")
def test_a_place_is_needed(sendwise: Sendwise, data: Path) -> None:
    """A command that would write nothing says what it needs."""
    ended = sendwise("export", "--data", data)
    assert ended.code == 2
    assert "--parquet" in ended.err
