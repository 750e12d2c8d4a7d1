"""`sendwise verify`, `ledger` and `audit` over real logs, sound and edited."""

from dataclasses import replace
from pathlib import Path

import pytest

from decisionlog import AuditKind, Decision, DecisionLog, Proposal, this_user
from decisionlog.codec import encode_decision
from decisionlog.ids import lower_bound, to_text
from decisionlog.tables import Table
from tests.cli.conftest import DECISIONS, Sendwise
from tests.replay.history import KEYS, text_of

HOUR_MS = 3_600_000


@pytest.fixture
def edited(data: Path) -> Decision:
    """A log in which one probability was edited by hand; the decision."""
    with DecisionLog.open(data, keys=KEYS) as log:
        decision = next(log.scan()).decision
        offer, *others = decision.stages
        changed = replace(offer, pmf=(0.6, 0.4))
        edited = replace(decision, stages=(changed, *others))
        with log._store.write() as transaction:
            transaction.put(Table.DECISIONS, decision.decision_id, encode_decision(edited))
    return edited


def test_a_sound_log_verifies(sendwise: Sendwise, lived: Path) -> None:
    """All of it, in words and in JSON."""
    ended = sendwise("verify", "--data", lived)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "600 of 600 decisions recomputed exactly\n"
    assert sendwise("verify", "--data", lived, "--format", "json").json == {
        "decisions": DECISIONS,
        "exact": DECISIONS,
        "mismatched": 0,
        "mismatches": [],
    }


def test_an_edited_log_does_not(sendwise: Sendwise, data: Path, edited: Decision) -> None:
    """Exit code 1, and the decision is named, in words and in JSON."""
    reason = "the pmf of the offer differs"
    ended = sendwise("verify", "--data", data)
    assert ended.code == 1
    assert ended.out.splitlines() == [
        "599 of 600 decisions recomputed exactly",
        f"{text_of(edited)}: {reason}",
    ]
    ended = sendwise("verify", "--data", data, "--format", "json")
    assert ended.code == 1
    assert ended.json["mismatched"] == 1
    assert ended.json["mismatches"] == [{"decision_id": text_of(edited), "reason": reason}]


def test_a_sound_log_is_balanced(sendwise: Sendwise, lived: Path) -> None:
    """Every count in words and in JSON, and the verdict."""
    ended = sendwise("ledger", "--data", lived)
    assert ended.code == 0
    words = {line.rpartition(" ")[0].strip(): line.split()[-1] for line in ended.out.splitlines()}
    assert words["decided"] == words["delivered"] == "600"
    assert ended.out.endswith("balanced\n")
    found = sendwise("ledger", "--data", lived, "--format", "json").json
    assert found["balanced"] is True
    assert (found["decided"], found["delivered"], found["pending"]) == (600, 600, 0)
    assert found["rewards"] == found["joined"] > 0
    assert found["deliveries"] == found["deliveries_joined"] == 600


def test_a_log_with_a_hole_is_not(sendwise: Sendwise, data: Path) -> None:
    """Exit code 1 and a word that cannot be missed."""
    with DecisionLog.open(data, keys=KEYS) as log:
        decision = next(log.scan()).decision
        with log._store.write() as transaction:
            assert transaction.delete(Table.DECISIONS, decision.decision_id)
    ended = sendwise("ledger", "--data", data)
    assert ended.code == 1
    assert "NOT balanced" in ended.out
    found = sendwise("ledger", "--data", data, "--format", "json")
    assert (found.code, found.json["balanced"]) == (1, False)


def test_a_damaged_log_is_balanced_and_not_sound(sendwise: Sendwise, data: Path) -> None:
    """Damage is a count of its own; a warning and the exit code tell of it."""
    with DecisionLog.open(data, keys=KEYS) as log:
        decision = next(log.scan()).decision
        with log.store.write() as transaction:
            transaction.put(Table.DECISIONS, decision.decision_id, b"nonsense")
    found = sendwise("ledger", "--data", data, "--format", "json")
    assert (found.code, found.json["balanced"], found.json["decisions_damaged"]) == (1, True, 1)
    assert "check-log" in found.err


def test_the_catalog_says_what_is_late(sendwise: Sendwise, data: Path, tmp_path: Path) -> None:
    """Another attribution window from a file moves rewards, and the books still balance."""
    text = next((data / "catalogs").iterdir()).read_text()
    file = tmp_path / "strict.toml"
    file.write_text(text.replace("attribution_days = 14", "attribution_days = 0.00001"))
    found = sendwise("ledger", "--data", data, "--catalog", file, "--format", "json").json
    assert found["balanced"] is True
    assert found["late"] == found["rewards"] > 0


@pytest.fixture
def bypassed(data: Path) -> list[str]:
    """A log in which two requests were critical, an hour apart; the decisions' ids."""
    with DecisionLog.open(data, keys=KEYS) as log:
        decision = next(log.scan()).decision
        ids = [lower_bound(HOUR_MS * hour) for hour in (1, 2)]
        rules = [("cap", "quiet_hours"), ("cap",)]
        log.record(
            [
                Proposal(replace(decision, decision_id=each), audit=rule)
                for each, rule in zip(ids, rules, strict=True)
            ]
        )
    return [to_text(each) for each in ids]


def test_the_audit_trail_lists_what_was_bypassed(
    sendwise: Sendwise, data: Path, bypassed: list[str]
) -> None:
    """An entry a line in order of time, and the same in JSON."""
    ended = sendwise("audit", "--data", data)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        f"1970-01-01T01:00:00.000+00:00  critical  {bypassed[0]}  cap, quiet_hours",
        f"1970-01-01T02:00:00.000+00:00  critical  {bypassed[1]}  cap",
        "2 entries",
    ]
    assert sendwise("audit", "--data", data, "--format", "json").json["entries"][0] == {
        "time": "1970-01-01T01:00:00.000+00:00",
        "kind": "critical",
        "decision_id": bypassed[0],
        "bypassed": ["cap", "quiet_hours"],
        "by": None,
        "details": {},
    }


def test_acts_of_the_command_line_are_in_the_trail(sendwise: Sendwise, data: Path) -> None:
    """Who put what into force, and when: entries without a decision, by the system's user."""
    assert sendwise("promote", "fixed/spring", "--force", "--data", data).code == 0
    assert sendwise("rollback", "--data", data).code == 0
    first, second = sendwise("audit", "--data", data, "--format", "json").json["entries"]
    assert (first["kind"], first["decision_id"], first["by"]) == ("rollout", None, this_user())
    assert first["details"]["command"] == "promote --force"
    assert first["details"]["champion"] == "fixed/spring"
    assert second["details"]["command"] == "rollback"
    assert first["time"] <= second["time"]
    assert "champion=fixed/spring" in sendwise("audit", "--data", data).out


def test_a_detail_cannot_forge_a_line(sendwise: Sendwise, data: Path) -> None:
    """What was done is one line of the trail, whatever names it carries."""
    with DecisionLog.open(data, keys=KEYS) as log:
        log.record_act(AuditKind.EXPORT, {"to": "x\n1970-01-01 forged"}, by="user eve")
    assert len(sendwise("audit", "--data", data).out.splitlines()) == 2


def test_the_audit_trail_is_bounded(sendwise: Sendwise, data: Path, bypassed: list[str]) -> None:
    """--since keeps what is from that moment on, --until what is before."""
    moment = "1970-01-01T02:00:00"
    late = sendwise("audit", "--data", data, "--since", moment, "--format", "json").json
    early = sendwise("audit", "--data", data, "--until", moment, "--format", "json").json
    assert [each["decision_id"] for each in late["entries"]] == bypassed[1:]
    assert [each["decision_id"] for each in early["entries"]] == bypassed[:1]


def test_an_empty_audit_trail_is_told(sendwise: Sendwise, lived: Path) -> None:
    """Nothing was bypassed: no entry, no error."""
    assert sendwise("audit", "--data", lived).out == "0 entries\n"
    assert sendwise("audit", "--data", lived, "--format", "json").json == {"entries": []}
