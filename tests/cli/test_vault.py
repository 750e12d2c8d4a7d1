"""`sendwise rekey` and `check-log`, and every other command on an encrypted log."""

import shutil
from pathlib import Path

import pytest

from decisionlog import DecisionLog, this_user
from decisionlog.tables import Table
from server.directory_lock import locked
from tests.cli.conftest import DECISIONS, Sendwise
from tests.decisionlog.test_migration import GOLDEN


def content(data: Path) -> bytes:
    """The log's file."""
    return (data / "log" / "data.mdb").read_bytes()


def test_a_log_is_encrypted_and_its_keys_change(sendwise: Sendwise, data: Path) -> None:
    """The first key makes the ring beside the data; the second one makes the first unneeded."""
    ring = data.with_name("data.ring")
    first = sendwise("rekey", "--new-key", "--data", data, "--format", "json").json
    assert (first["key_ring"], first["unneeded_keys"]) == (str(ring), [])
    assert first["rewritten"] > DECISIONS
    assert ring.stat().st_mode & 0o777 == 0o600
    assert sendwise("verify", "--data", data, "--format", "json").json["exact"] == DECISIONS
    second = sendwise("rekey", "--new-key", "--data", data, "--format", "json").json
    assert second["unneeded_keys"] == [{"line": 1, "key": first["key"]}]
    ring.write_text(ring.read_text().splitlines()[1] + "\n")
    assert sendwise("ledger", "--data", data, "--format", "json").json["balanced"] is True
    words = sendwise("rekey", "--data", data).out
    assert "0 of them anew" in words
    acts = sendwise("audit", "--data", data, "--format", "json").json["entries"]
    assert [act["details"]["key"] for act in acts] == [first["key"], second["key"], second["key"]]


def test_the_words_say_which_key_may_go(sendwise: Sendwise, data: Path) -> None:
    """By its id, and the line of the file that holds it."""
    sendwise("rekey", "--new-key", "--data", data)
    said = sendwise("rekey", "--new-key", "--data", data).out
    assert f"delete line 1 of {data}.ring when no backup needs it either" in said


def test_keys_that_may_go_are_told_again(sendwise: Sendwise, data: Path) -> None:
    """Also by a run that only finds what one before has done; the lowest line of the file first."""
    keys = [
        sendwise("rekey", "--new-key", "--data", data, "--format", "json").json["key"]
        for _ in range(3)
    ]
    again = sendwise("rekey", "--data", data, "--format", "json").json
    assert again["unneeded_keys"] == [{"line": 1, "key": keys[0]}, {"line": 2, "key": keys[1]}]
    said = sendwise("rekey", "--data", data).out
    assert said.index("delete line 2") < said.index("delete line 1") < said.index("in this order")


@pytest.mark.parametrize("command", ["verify", "ledger", "audit", "rekey", "train", "evaluate"])
def test_without_its_ring_an_encrypted_log_is_refused(
    sendwise: Sendwise, data: Path, command: str
) -> None:
    """One line that says which key is missing and how to give it; nothing is changed."""
    key = sendwise("rekey", "--new-key", "--data", data, "--format", "json").json["key"]
    data.with_name("data.ring").unlink()
    before = content(data)
    ended = sendwise(command, "--data", data)
    assert (ended.code, ended.out) == (1, "")
    assert key in ended.err
    assert "SENDWISE_KEY_RING" in ended.err
    assert content(data) == before


@pytest.mark.parametrize("how", ["option", "environment"])
def test_a_ring_may_lie_elsewhere(
    sendwise: Sendwise, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Named by the option before the command, or by the environment."""
    sendwise("rekey", "--new-key", "--data", data)
    ring = data.with_name("data.ring").rename(tmp_path / "elsewhere")
    given = ["--key-ring", ring] if how == "option" else []
    if how == "environment":
        monkeypatch.setenv("SENDWISE_KEY_RING", str(ring))
    assert sendwise(*given, "verify", "--data", data).code == 0
    assert sendwise(*given, "evaluate", "--policy", "uniform", "--data", data).code == 0


def test_a_named_ring_must_be_there(sendwise: Sendwise, data: Path, tmp_path: Path) -> None:
    """A mistyped name is an error, not a log without encryption."""
    ended = sendwise("--key-ring", tmp_path / "typo", "verify", "--data", data)
    assert ended.code == 1
    assert "typo" in ended.err
    assert "missing" in ended.err


def test_a_log_without_keys_is_not_sealed(sendwise: Sendwise, data: Path) -> None:
    """The error says how a key is made; no ring is made without being asked for."""
    ended = sendwise("rekey", "--data", data)
    assert ended.code == 1
    assert "--new-key" in ended.err
    assert not data.with_name("data.ring").exists()


def test_a_sound_log_passes_its_check(sendwise: Sendwise, lived: Path) -> None:
    """Rows by table, and the verdict, in words and in JSON."""
    ended = sendwise("check-log", "--data", lived)
    assert (ended.code, ended.err) == (0, "")
    assert ["decisions", "600", "0"] in [each.split() for each in ended.out.splitlines()]
    assert ended.out.endswith("nothing is wrong\n")
    found = sendwise("check-log", "--data", lived, "--format", "json").json
    assert (found["findings"], found["counts"], found["references_checked"]) == ([], {}, True)
    assert found["rows"]["decisions"] == DECISIONS


def test_a_damaged_log_does_not(sendwise: Sendwise, data: Path) -> None:
    """Exit code 1, with table, key and what is wrong for each, in words and in JSON."""
    with DecisionLog.open(data, keys=None) as log:
        ids = [logged.decision.decision_id for logged in log.scan()][:2]
        with log.store.write() as transaction:
            for each in ids:
                transaction.put(Table.DECISIONS, each, b"\x01 spoiled")
    ended = sendwise("check-log", "--data", data)
    assert ended.code == 1
    for each in ids:
        assert f"decisions {each.hex()}: its checksum does not fit" in ended.out
    assert "2 findings" in ended.out
    found = sendwise("check-log", "--data", data, "--format", "json")
    assert found.code == 1
    assert found.json["counts"] == {"decisions": 2}
    assert {each["key"] for each in found.json["findings"]} == {each.hex() for each in ids}


def test_a_broken_file_is_told_without_being_opened(sendwise: Sendwise, data: Path) -> None:
    """A file without its beginning is one finding; nothing crashes."""
    file = data / "log" / "data.mdb"
    file.write_bytes(bytes(8192) + file.read_bytes()[8192:])
    found = sendwise("check-log", "--data", data, "--format", "json")
    assert found.code == 1
    assert [each["table"] for each in found.json["findings"]] == [None]


def test_a_log_of_an_earlier_version_is_migrated(sendwise: Sendwise, tmp_path: Path) -> None:
    """Refused before, served from afterwards; the trail says who did it. Again it does nothing."""
    data = Path(shutil.copytree(GOLDEN, tmp_path / "data"))
    refused = sendwise("verify", "--data", data)
    assert (refused.code, refused.out) == (1, "")
    assert "sendwise migrate" in refused.err
    done = sendwise("migrate", "--data", data, "--format", "json").json
    assert (done["from_schema"], done["to_schema"]) == (1, 2)
    assert sendwise("verify", "--data", data, "--format", "json").json["exact"] == 12
    assert sendwise("migrate", "--data", data).out == "the log had schema 2 and has schema 2\n"
    (act,) = sendwise("audit", "--data", data, "--format", "json").json["entries"]
    assert (act["kind"], act["by"]) == ("migrate", this_user())


def test_a_served_log_is_not_migrated(sendwise: Sendwise, tmp_path: Path) -> None:
    """While a server holds the directory, it is refused."""
    data = Path(shutil.copytree(GOLDEN, tmp_path / "data"))
    with locked(data):
        ended = sendwise("migrate", "--data", data)
    assert ended.code == 1
    assert "stop it first" in ended.err
