"""What rows say of each other is no contradiction while a log is kept as it should be."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from decisionlog import Contact, DecisionLog, Delivery, DeliveryStatus, Proposal, erasure, retention
from decisionlog.contacts import STANDING_DAYS, STANDING_LENGTH_MAX
from decisionlog.ids import lower_bound
from decisionlog.references import contradictions
from tests.decisionlog.samples import DECISION, KEYS, MAP_SIZE_BYTES

DAY_MS = 86_400_000
NOW_MS = 1_760_000_000_000


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DecisionLog]:
    """An empty log."""
    with DecisionLog.open(tmp_path, keys=KEYS, map_size_bytes=MAP_SIZE_BYTES) as log:
        yield log


def decision_id(at_ms: int) -> bytes:
    """An id of that time."""
    return lower_bound(at_ms)[:15] + b"\x01"


def contact_of(at_ms: int) -> Proposal:
    """A decision whose contact is sent at once; all are of one subject."""
    made = replace(DECISION, decision_id=decision_id(at_ms))
    return Proposal(made, None, Contact(made.decision_id, "mens", "email", at_ms))


def report(log: DecisionLog, at_ms: int, status: DeliveryStatus) -> None:
    """Report how the delivery of a decision went."""
    log.report_deliveries([Delivery(decision_id(at_ms), "d", status, at_ms + 1, at_ms + 1)])


def test_a_contact_that_was_one_too_many_may_be_absent(log: DecisionLog) -> None:
    """It does not come back when a newer one, which had driven it out, has failed."""
    times = [NOW_MS + number for number in range(STANDING_LENGTH_MAX + 1)]
    log.record([contact_of(each) for each in times])
    report(log, times[-1], DeliveryStatus.FAILED)
    assert list(contradictions(log.store, lambda _: None)) == []


def test_a_contact_of_long_ago_may_be_absent(log: DecisionLog) -> None:
    """Nor when the one of which it was too far away has failed."""
    log.record([contact_of(NOW_MS)])
    later_ms = NOW_MS + (STANDING_DAYS + 1) * DAY_MS
    log.record([contact_of(later_ms)])
    report(log, later_ms, DeliveryStatus.FAILED)
    assert list(contradictions(log.store, lambda _: None)) == []


def test_whoever_is_being_erased_contradicts_nobody(
    log: DecisionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure that was stopped half-way leaves contacts that no longer count."""
    log.record([contact_of(NOW_MS + number) for number in range(10)])

    monkeypatch.setattr(erasure, "_remove_group", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        erasure.erase(log.store, [DECISION.subject], NOW_MS + DAY_MS)
    assert list(contradictions(log.store, lambda _: None)) == []


def test_a_late_report_on_what_expired_is_no_contradiction(log: DecisionLog) -> None:
    """Until a sweep has come, a contact counts whose decision has gone."""
    log.record([contact_of(NOW_MS), contact_of(NOW_MS + DAY_MS)])
    assert retention.expire(log.store, lower_bound(NOW_MS + 1)) is not None
    report(log, NOW_MS, DeliveryStatus.SENT)
    assert list(contradictions(log.store, lambda _: None)) == []
