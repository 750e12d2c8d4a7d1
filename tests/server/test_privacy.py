"""`PrivacyService`: what is held of a subject is handed over, and erased, while others go on."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from decisionlog import AuditKind, erasure
from decisionlog.readable import KINDS
from replay.ledger import ledger
from sendwise.v1 import privacy_service_pb2 as api
from tests.server.rivals import Erasing, meet
from tests.server.service import KEYS, Service, delivery, refused, reward, running
from tests.shop import CATALOG, shop

CAPPED = CATALOG + "\n[[caps]]\nmessages = 2\ndays = 7\n\n[contacts]\nminimum_gap_hours = 0.5\n"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Yields a service with a cap, so that contacts are kept."""
    with running(tmp_path / "data", CAPPED) as found:
        yield found


def live(service: Service, subject: str, count: int = 1) -> list[str]:
    """Decides for a subject, and reports on it; returns the decisions' ids."""
    ids = []
    for turn in range(count):
        answer = service.decide(
            subject, request_id=f"{subject}-{turn}", excluded_offers=["no_send"]
        )
        service.feedback.ReportDelivery(delivery(answer.decision_id))
        service.feedback.ReportReward(reward(answer.decision_id))
        ids.append(answer.decision_id)
        service.clock.now_ms += 3_600_000
    return ids


def exported(service: Service, subject: str) -> dict[str, list[dict[str, Any]]]:
    """All that is held of a subject, by kind."""
    found: dict[str, list[dict[str, Any]]] = {}
    for item in service.privacy.ExportSubject(api.ExportSubjectRequest(subject_id=subject)):
        found.setdefault(item.kind, []).append(json.loads(item.json))
    return found


def test_a_decision_that_an_erasure_overtakes_is_made_anew(service: Service) -> None:
    """The first choice knew the subject, and is not stored; the second one knows nothing of it."""
    (before,) = live(service, "alice")
    rival = Erasing(service, KEYS.pseudonym("alice"))
    meet(service, rival)
    answer = service.decide("alice", request_id="alice-9", excluded_offers=["no_send"])
    assert rival.rounds == 2
    assert not answer.repeated
    held = exported(service, "alice")
    assert [each["decision_id"] for each in held["decision"]] == [answer.decision_id] != [before]


def test_a_subject_gets_all_that_is_held(service: Service) -> None:
    """Decisions, reports, contacts, request ids and standing, readable without a catalog."""
    (decision_id,) = live(service, "alice")
    live(service, "bob")
    found = exported(service, "alice")
    assert {kind: len(items) for kind, items in found.items()} == {
        "decision": 1,
        "delivery": 1,
        "reward": 1,
        "contact": 1,
        "request": 1,
        "standing": 1,
    }
    decision = found["decision"][0]
    assert decision["decision_id"] == decision_id
    assert decision["arm"] == "champion"
    assert decision["choice"]["offer"] in {"spring", "loyal"}
    assert decision["decided_at"] == "2026-03-02T10:07:30.250+00:00"
    assert found["reward"][0]["value"] == 1.0
    assert found["standing"][0]["contacts"][0]["confirmed"] is True
    assert set(found) < set(KINDS.values())


def test_an_erased_subject_starts_afresh(service: Service) -> None:
    """Its decisions are gone, its request ids answer anew, and its caps begin at nothing."""
    ids = live(service, "alice", 2)
    service.clock.now_ms += 1
    found = service.privacy.EraseSubject(api.EraseSubjectRequest(subject_id="alice"))
    assert (found.decisions, found.deliveries, found.rewards, found.unreadable) == (2, 2, 2, 0)
    assert found.erased_at.ToMilliseconds() == service.clock.now_ms
    assert list(exported(service, "alice")) == ["tombstone"]
    service.clock.now_ms += 1  # what was decided in the same millisecond may be from before
    again = live(service, "alice", 2)
    assert not set(again) & set(ids)
    assert len(exported(service, "alice")["decision"]) == 2


def test_an_erasure_leaves_the_books_balanced(service: Service) -> None:
    """What is gone is counted as erased, late reports on it as well."""
    (first, *_) = live(service, "alice", 2)
    live(service, "bob", 2)
    service.privacy.EraseSubject(api.EraseSubjectRequest(subject_id="alice"))
    service.feedback.ReportReward(reward(first, reward_id="late"))
    found = ledger(service.log, shop().reward)
    assert found.balanced
    assert (found.decided, found.decisions_erased, found.rewards_erased) == (4, 2, 3)


def test_a_stranger_is_erased_as_well(service: Service) -> None:
    """Nothing is removed, and the tombstone stays: a backup may hold what this log does not."""
    found = service.privacy.EraseSubject(api.EraseSubjectRequest(subject_id="nobody"))
    assert found.decisions == 0
    assert [each.subject for each in erasure.tombstones(service.log.store)] == [
        KEYS.pseudonym("nobody")
    ]


def test_erasures_that_wait_share_a_pass(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight calls at once read the log two or three times, not eight, and each gets its own."""
    for name in range(8):
        live(service, f"customer {name}", 1 + name % 2)
    passes = []
    erase = erasure.erase

    def counted(store: Any, subjects: Any, *rest: Any) -> Any:  # noqa: ANN401 - passed through
        passes.append(len(subjects))
        return erase(store, subjects, *rest)

    monkeypatch.setattr(erasure, "erase", counted)

    def ask(name: int) -> int:
        asked = api.EraseSubjectRequest(subject_id=f"customer {name}")
        return service.privacy.EraseSubject(asked).decisions

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [1 + name % 2 for name in range(8)]
    assert sum(passes) == 8
    assert service.log.counts().decisions == 0


@pytest.mark.parametrize("subject", ["", "x" * 257])
def test_ids_that_no_request_may_have_are_refused(service: Service, subject: str) -> None:
    """The rules for a subject's id are those of Decide."""
    asked = api.EraseSubjectRequest(subject_id=subject)
    found = refused(lambda: service.privacy.EraseSubject(asked))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert set(found.fields) == {"subject_id"}
    exporting = api.ExportSubjectRequest(subject_id=subject)
    found = refused(lambda: list(service.privacy.ExportSubject(exporting)))
    assert found.reason == "INVALID_FIELD"
    assert erasure.tombstones(service.log.store) == []


def test_privacy_needs_a_token_as_the_rest(tmp_path: Path) -> None:
    """Without a token nobody is erased and nothing handed over."""
    with running(tmp_path / "data", CATALOG, tokens=["secret"]) as service:
        asked = api.EraseSubjectRequest(subject_id="alice")
        assert refused(lambda: service.privacy.EraseSubject(asked)).reason == "TOKEN_REQUIRED"
        exporting = api.ExportSubjectRequest(subject_id="alice")
        exported = refused(lambda: list(service.privacy.ExportSubject(exporting)))
        assert exported.reason == "TOKEN_REQUIRED"
        assert erasure.tombstones(service.log.store) == []


def test_who_asked_is_in_the_audit_trail(service: Service) -> None:
    """Erasures and exports are acts, by the caller's address or token; whom they concern is not."""
    live(service, "alice")
    exported(service, "alice")
    service.privacy.EraseSubject(api.EraseSubjectRequest(subject_id="alice"))
    acts = [(act.kind, dict(act.details), act.actor) for act in service.log.audit_trail()]
    assert acts == [
        (AuditKind.EXPORT_SUBJECT, {"call": "ExportSubject"}, "peer ipv4:127.0.0.1"),
        (
            AuditKind.ERASE,
            {"call": "EraseSubject", "subjects": "1", "decisions": "1"},
            "peer ipv4:127.0.0.1",
        ),
    ]


def test_a_failed_pass_is_told_and_tried_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller whose pass failed gets an error; the next call erases for both."""
    live(service, "alice")
    with monkeypatch.context() as patch:
        patch.setattr(erasure, "erase", lambda *_: 1 / 0)
        asked = api.EraseSubjectRequest(subject_id="alice")
        assert refused(lambda: service.privacy.EraseSubject(asked)).reason == "INTERNAL"
    service.privacy.EraseSubject(api.EraseSubjectRequest(subject_id="bob"))
    assert list(exported(service, "alice")) == ["tombstone"]
