"""`sendwise export`."""

from pathlib import Path

import pytest

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
    audited = sendwise("audit", "--data", data, "--format", "json").json["entries"]
    assert [one["kind"] for one in audited] == ["export", "export"]


def test_lines_are_exported(sendwise: Sendwise, data: Path, tmp_path: Path) -> None:
    """A line an interaction."""
    file = tmp_path / "lines.json"
    ended = sendwise("export", "--dsjson", file, "--data", data, "--as-of", AS_OF)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith(f"{DECISIONS} lines\n")
    assert len(file.read_text().splitlines()) == DECISIONS


@pytest.mark.usefixtures("tmp_path")
def test_a_place_is_needed(sendwise: Sendwise, data: Path) -> None:
    """A command that would write nothing says what it needs."""
    ended = sendwise("export", "--data", data)
    assert ended.code == 2
    assert "--parquet" in ended.err
