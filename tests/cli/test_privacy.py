"""`sendwise erase` and `export-subject`."""

from dataclasses import replace
from pathlib import Path

import pytest

from decisionlog import DecisionLog, Delivery, DeliveryStatus, erasure
from tests.cli.conftest import Sendwise
from tests.replay.history import KEYS


@pytest.fixture
def names(data: Path) -> list[str]:
    """Names under which two subjects of the log are known, and the log's key beside it."""
    key = data.with_name("data.key")
    key.write_text(bytes(range(32)).hex())
    key.chmod(0o600)
    return ["customer-0", "customer-1"]


def test_a_subject_is_exported_and_erased(sendwise: Sendwise, data: Path, names: list[str]) -> None:
    """All that is held is printed; after an erasure only the tombstone is; the books balance."""
    name = names[0]
    found = sendwise("export-subject", "--data", data, "--subject", name).json
    kinds = {item["kind"] for item in found["items"]}
    assert {"decision", "delivery"} <= kinds
    ended = sendwise("erase", "--data", data, "--subject", name)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("erased 1 subjects: 1 decisions, 1 deliveries")
    found = sendwise("export-subject", "--data", data, "--subject", name).json
    assert [item["kind"] for item in found["items"]] == ["tombstone"]
    assert sendwise("ledger", "--data", data, "--format", "json").json["decisions_erased"] == 1


def test_a_file_of_subjects_is_erased_in_one_pass(
    sendwise: Sendwise, data: Path, names: list[str], tmp_path: Path
) -> None:
    """A name a line; empty lines are none."""
    file = tmp_path / "names"
    file.write_text("\n".join([*names, "", "stranger"]))
    found = sendwise("erase", "--data", data, "--subject-file", file, "--format", "json").json
    assert (found["subjects"], found["decisions"], found["unreadable"]) == (3, 2, 0)


def test_a_file_of_another_system_names_the_same(
    sendwise: Sendwise, data: Path, names: list[str], tmp_path: Path
) -> None:
    """Neither its mark of the byte order nor its ends of lines hide whom it names."""
    file = tmp_path / "names"
    file.write_bytes(("\ufeff" + "\r\n".join(names)).encode())
    found = sendwise("erase", "--data", data, "--subject-file", file, "--format", "json").json
    assert (found["subjects"], found["decisions"]) == (2, 2)


@pytest.mark.usefixtures("names")
def test_a_file_that_is_no_text_erases_nobody(
    sendwise: Sendwise, data: Path, tmp_path: Path
) -> None:
    """It is named with the place where it ends to be text."""
    (tmp_path / "names").write_bytes(b"customer-0\n\xff\n")
    ended = sendwise("erase", "--data", data, "--subject-file", tmp_path / "names")
    assert ended.code == 2
    assert "not UTF-8 at byte 11" in " ".join(ended.err.replace("│", " ").split())
    assert sendwise("ledger", "--data", data, "--format", "json").json["decisions_erased"] == 0


def test_what_was_stopped_is_finished(
    sendwise: Sendwise, data: Path, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--unfinished` does what a killed erasure left."""
    with DecisionLog.open(data, keys=KEYS) as log, monkeypatch.context() as patch:
        patch.setattr(erasure, "_remove_group", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            erasure.erase(log.store, [KEYS.pseudonym(names[0])], 1)
    found = sendwise("erase", "--data", data, "--unfinished", "--format", "json").json
    assert (found["subjects"], found["decisions"]) == (1, 1)
    found = sendwise("erase", "--data", data, "--unfinished", "--format", "json").json
    assert found["subjects"] == 0


@pytest.mark.usefixtures("names")
def test_nobody_named_is_an_error(sendwise: Sendwise, data: Path) -> None:
    """A command that would do nothing says what it needs."""
    ended = sendwise("erase", "--data", data)
    assert ended.code == 2
    assert "--subject" in ended.err


def test_the_wrong_key_erases_nobody(sendwise: Sendwise, data: Path, names: list[str]) -> None:
    """Pseudonyms of another key would erase nobody, and say that all is well."""
    data.with_name("data.key").write_text("ab" * 32)
    ended = sendwise("erase", "--data", data, "--subject", names[0])
    assert ended.code == 1
    assert "was written with the key" in ended.err
    assert not (data / "tombstones.jsonl").exists()


@pytest.mark.usefixtures("names")
def test_no_log_is_begun(sendwise: Sendwise, data: Path, tmp_path: Path) -> None:
    """On a directory without a log nothing is made."""
    key = data.with_name("data.key")
    ended = sendwise("erase", "--data", tmp_path / "none", "--key-file", key, "--subject", "alice")
    assert ended.code == 1
    assert not (tmp_path / "none").exists()


def test_texts_of_callers_forge_no_line(sendwise: Sendwise, data: Path, names: list[str]) -> None:
    """What a delivery system reports is quoted where it would begin a line of its own."""
    with DecisionLog.open(data, keys=KEYS) as log:
        subject = KEYS.pseudonym(names[0])
        (made,) = (each.decision for each in log.scan() if each.decision.subject == subject)
        forged = "ok\nkind=tombstone  complete=True\x1b[31m"
        at_ms = made.decided_at_ms + 1
        report = Delivery(made.decision_id, "d2", DeliveryStatus.FAILED, at_ms, at_ms)
        log.report_deliveries([replace(report, detail=forged)])
    told = sendwise("export-subject", "--data", data, "--subject", names[0], "--format", "text").out
    assert "tombstone  complete" in told
    assert "\nkind=tombstone" not in told
    assert "\x1b" not in told
