"""Counts of a whole log depend neither on who counts nor on where the log is cut."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decisionlog import (
    Contact,
    DamagedRecord,
    DecisionLog,
    DeliveryStatus,
    Proposal,
    Reservation,
)
from decisionlog.bulk import Rows
from decisionlog.contact_codec import encode_reservation
from decisionlog.ids import lower_bound
from decisionlog.scan import raise_damage
from decisionlog.sealing import seal
from decisionlog.tables import Table
from policy.catalog import Reward as RewardRule
from replay.bulk import decode
from replay.bulk import tally as tallying
from replay.bulk.decode import HOLDS
from replay.bulk.tally import OpenLog, tally
from replay.ledger import ledger
from tests.decisionlog.samples import DECISION, DELIVERY, KEYS, MAP_SIZE_BYTES, REWARD

RULE = RewardRule.model_validate({"weights": {"visit": 1.0}, "attribution_days": 1.0})
HOUR_MS = 3_600_000
START_MS = 1_760_000_000_000
DECISIONS = 24


def decision_id(number: int) -> bytes:
    """Of a decision every hour, with a long silence in the middle."""
    return lower_bound(START_MS + (number + 500 * (number > DECISIONS // 2)) * HOUR_MS)


def fill(log: DecisionLog) -> None:
    """Records decisions of all fates, with contacts, orphans before and after, early and late."""
    made = [replace(DECISION, decision_id=decision_id(number)) for number in range(DECISIONS)]
    contacts = [
        Contact(each.decision_id, "mens", "email", each.decided_at_ms) if place % 4 else None
        for place, each in enumerate(made)
    ]
    log.record(
        [Proposal(one, contact=contact) for one, contact in zip(made, contacts, strict=True)]
    )
    log.report_deliveries(
        [
            replace(DELIVERY, decision_id=decision_id(number), status=list(DeliveryStatus)[of % 4])
            for of, number in enumerate(range(-1, DECISIONS + 1, 2))
        ]
    )
    log.report_rewards(
        [
            replace(
                REWARD,
                decision_id=decision_id(number),
                occurred_at_ms=START_MS + 36 * HOUR_MS,
                reward_id=str(number % 2),
            )
            for number in range(-2, DECISIONS + 2)
        ]
    )


@pytest.fixture
def opener(tmp_path: Path) -> OpenLog:
    """Opens a full log to read it."""
    with DecisionLog.open(tmp_path, keys=KEYS, map_size_bytes=MAP_SIZE_BYTES) as log:
        fill(log)
    return partial(DecisionLog.open, tmp_path, keys=KEYS, read_only=True)


@pytest.fixture
def log(opener: OpenLog) -> Iterator[DecisionLog]:
    """A full log, to be read."""
    with opener() as opened:
        yield opened


def test_cuts_make_no_difference(log: DecisionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """However short the stretches, everything is counted once, orphans at both ends as well."""
    whole = tally(log, RULE)
    assert whole.decisions == DECISIONS
    assert min(whole.fates.values()) > 0
    assert min(whole.reports.values()) > 0
    assert min(whole.contacts[kind] for kind in ("open", "confirmed", "released")) > 0
    for size in (1, 2, 5, 13):
        monkeypatch.setattr(tallying, "STRETCH", size)
        progress: list[int] = []
        assert tally(log, RULE, progress.append) == whole
        assert (len(progress), sum(progress)) == (DECISIONS // size, DECISIONS)


def test_processes_make_no_difference(
    opener: OpenLog, log: DecisionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes count what one counts, and the ledger balances with it."""
    alone = ledger(log, RULE)
    monkeypatch.setattr(tallying, "STRETCH", 1)
    monkeypatch.setattr(tallying, "STRETCHES_TO_START", 1)
    assert ledger(log, RULE, open_log=opener, processes=2) == alone
    assert alone.balanced


def test_damage_that_another_process_finds_is_counted(
    tmp_path: Path, opener: OpenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged record is counted by its table, wherever it was read, and stops nothing."""
    monkeypatch.setattr(tallying, "STRETCH", 1)
    monkeypatch.setattr(tallying, "STRETCHES_TO_START", 1)
    with DecisionLog.open(tmp_path, keys=KEYS) as writer:
        whole = tally(writer, RULE)
        with writer.store.write() as transaction:
            transaction.put(Table.DECISIONS, decision_id(3), b"nonsense")
            transaction.put(Table.CONTACTS, decision_id(4), b"nonsense")
        found = tally(writer, RULE, open_log=opener, processes=2)
    assert found.damaged == {"decisions": 1, "contacts": 1}
    assert found.decisions == whole.decisions - 1
    assert found.reports.total() == whole.reports.total()


def test_even_cuts_lie_between_the_first_decision_and_the_last(log: DecisionLog) -> None:
    """They are in order, one less than parts, and none where there is nothing to divide."""
    cuts = log.even_cuts(7)
    assert len(cuts) == 6
    assert cuts == sorted(cuts)
    assert decision_id(0) < cuts[0] < cuts[-1] < decision_id(DECISIONS - 1)
    assert log.even_cuts(1) == log.even_cuts(0) == []


def test_a_log_without_decisions_has_at_most_one_cut(tmp_path: Path) -> None:
    """Its only moment is the beginning of time."""
    with DecisionLog.open(tmp_path, keys=KEYS, map_size_bytes=MAP_SIZE_BYTES) as log:
        assert log.even_cuts(5) == [bytes(16)]
        assert tally(log, RULE).decisions == 0


DAMAGED = (
    b"",
    b"\x01\x00\x00\x00\x00nonsense",
    seal(b"\x0a\x10" + decision_id(0) + b"\x22\x02\x18\x63"),  # a report of status 99
)
contacts = st.one_of(
    st.none(),
    st.builds(
        lambda offer, confirmed: Contact(decision_id(0), offer, "email", START_MS, confirmed),
        st.sampled_from(["mens", "ö", ""]),
        st.booleans(),
    ),
)
reports = st.one_of(
    st.none(),
    st.builds(
        lambda status, offer: replace(
            DELIVERY, decision_id=decision_id(0), status=status, actual_offer=offer
        ),
        st.sampled_from(DeliveryStatus),
        st.sampled_from(["", "womens"]),
    ),
)
reservations = st.builds(
    Reservation,
    st.just(decision_id(0)),
    st.sampled_from([b"", bytes(range(16))]),
    contacts,
    reports,
)


@settings(deadline=None)
@given(st.lists(reservations, max_size=8), st.booleans())
def test_contacts_are_held_as_the_codec_says(
    made: list[Reservation],
    damaged: bool,  # noqa: FBT001 - of an example
) -> None:
    """Loops and codec agree on every contact, whatever was reported; damage is told."""
    values = [(one.decision_id, encode_reservation(one)) for one in made]
    values += [(decision_id(0), value) for value in DAMAGED] * damaged
    damages: list[DamagedRecord] = []
    found = decode.holds(Rows([values] if values else []), damages.append)
    plain = [decode.hold(one) for one in made if one.contact is not None]
    assert [HOLDS[number] for number in found] == plain
    assert len(damages) == damaged * len(DAMAGED)


def test_the_codec_is_not_asked_about_usual_contacts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open, confirmed and released ones are read by the loops alone."""
    monkeypatch.setattr(decode, "decode_reservation", None)
    contact = Contact(decision_id(0), "mens", "email", START_MS)
    sent, failed = (
        replace(DELIVERY, decision_id=decision_id(0), status=status)
        for status in (DeliveryStatus.SENT, DeliveryStatus.FAILED)
    )
    made = [Reservation(decision_id(0), bytes(16), contact, one) for one in (None, sent, failed)]
    rows = Rows([[(one.decision_id, encode_reservation(one)) for one in made]])
    found = decode.holds(rows, raise_damage)
    assert [HOLDS[number] for number in found] == ["open", "confirmed", "released"]
