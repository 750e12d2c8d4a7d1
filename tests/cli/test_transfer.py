"""`sendwise backup` and `restore`."""

from pathlib import Path

from tests.cli.conftest import DECISIONS, Sendwise


def with_key(data: Path) -> Path:
    """Puts the log's key beside it."""
    key = data.with_name(f"{data.name}.key")
    key.write_text(bytes(range(32)).hex())
    key.chmod(0o600)
    return key


def test_a_backup_restores(sendwise: Sendwise, data: Path, tmp_path: Path) -> None:
    """What is restored verifies and balances, and both acts are in the audit trail."""
    key = with_key(data)
    made = sendwise("backup", tmp_path / "backup", "--data", data)
    assert made.code == 0
    assert f"{DECISIONS} decisions" in made.out
    new = tmp_path / "new"
    found = sendwise(
        "restore", tmp_path / "backup", "--data", new, "--key-file", key, "--format", "json"
    ).json
    assert found == {
        "data": str(new),
        "decisions": DECISIONS,
        "tombstones": 0,
        "erased_again": 0,
        "key_checked": True,
    }
    assert sendwise("verify", "--data", new, "--format", "json").json["exact"] == DECISIONS
    assert sendwise("ledger", "--data", new).code == 0
    audited = sendwise("audit", "--data", new, "--format", "json").json["entries"]
    assert [one["kind"] for one in audited] == ["restore"]
    audited = sendwise("audit", "--data", data, "--format", "json").json["entries"]
    assert [one["kind"] for one in audited] == ["backup"]


def test_the_erased_stay_erased(sendwise: Sendwise, data: Path, tmp_path: Path) -> None:
    """With the tombstones of the directory that was lost."""
    key = with_key(data)
    assert sendwise("backup", tmp_path / "backup", "--data", data).code == 0
    assert sendwise("erase", "--data", data, "--subject", "customer-1").code == 0
    ended = sendwise(
        "restore",
        tmp_path / "backup",
        "--data",
        tmp_path / "new",
        "--key-file",
        key,
        "--tombstones",
        data / "tombstones.jsonl",
    )
    assert (ended.code, ended.err) == (0, "")
    assert "1 tombstones, 1 decisions erased again" in ended.out


def test_mistakes_end_with_one_line(sendwise: Sendwise, data: Path, tmp_path: Path) -> None:
    """Something in the way, no backup there, another key: each says what to do."""
    assert sendwise("backup", tmp_path / "backup", "--data", data).code == 0
    again = sendwise("backup", tmp_path / "backup", "--data", data)
    assert (again.code, again.err.count("\n")) == (1, 1)
    assert "not empty" in again.err
    none = sendwise("restore", tmp_path / "none", "--data", tmp_path / "new")
    assert none.code == 1
    assert "cannot be used" in none.err
    wrong = tmp_path / "wrong.key"
    wrong.write_text("ab" * 32)
    wrong.chmod(0o600)
    refused = sendwise(
        "restore", tmp_path / "backup", "--data", tmp_path / "new", "--key-file", wrong
    )
    assert refused.code == 1
    assert "was written with the key" in refused.err
    assert not (tmp_path / "new").exists()
    unchecked = sendwise("restore", tmp_path / "backup", "--data", tmp_path / "new")
    assert unchecked.code == 0
    assert "the key was not checked" in unchecked.out
