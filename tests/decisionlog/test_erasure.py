"""Erasure: nothing of a subject stays, nothing of anybody else goes, and it is remembered."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from decisionlog import (
    Decision,
    DecisionLog,
    Proposal,
    Removed,
    ReportOutcome,
    SubjectErased,
    TombstoneFileError,
    erasure,
)
from decisionlog.checking import Finding, check
from decisionlog.ids import lower_bound
from decisionlog.store import Store, WriteTransaction
from decisionlog.subject_data import held_of
from decisionlog.tables import Table
from decisionlog.tombstones import (
    TOMBSTONE_FILE,
    Tombstone,
    append_to_file,
    erased_until_ms,
    read_file,
)
from tests.decisionlog.samples import (
    CONTACT,
    DECISION,
    DELIVERY,
    KEYS,
    MAP_SIZE_BYTES,
    REWARD,
    decision_id,
)

ALICE, BOB = KEYS.pseudonym("alice"), KEYS.pseudonym("bob")
NOW_MS = 5_000
MANY = 150
"""More decisions than one transaction removes."""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DecisionLog]:
    """Yield a log of two subjects' decisions, with all that can hang on them."""
    with opened(tmp_path) as log:
        fill(log)
        yield log


def opened(directory: Path) -> DecisionLog:
    """Open a log."""
    return DecisionLog.open(directory, keys=KEYS, map_size_bytes=MAP_SIZE_BYTES)


def decision(number: int, subject: bytes) -> Decision:
    """Return a decision of a subject."""
    return replace(DECISION, decision_id=decision_id(number), subject=subject)


def proposal(number: int, subject: bytes) -> Proposal:
    """Return a decision with a contact, a request id and an entry in the audit trail."""
    contact = replace(CONTACT, decision_id=decision_id(number))
    request_key = KEYS.request_key(f"request {number}")
    return Proposal(decision(number, subject), request_key, contact, audit=("cap",))


def fill(log: DecisionLog, numbers: range = range(1, MANY)) -> None:
    """Decide in turn for the two subjects; report on each."""
    log.record([proposal(number, (ALICE, BOB)[number % 2]) for number in numbers])
    log.report_deliveries([replace(DELIVERY, decision_id=decision_id(each)) for each in numbers])
    clicks = [replace(REWARD, decision_id=decision_id(each)) for each in numbers]
    log.report_rewards(clicks, frozenset({REWARD.name}))


def bytes_of(store: Store) -> bytes:
    """Return all keys and values of all tables but tombstones and counters."""
    found = b""
    with store.read() as transaction:
        for table in sorted(set(Table) - {Table.TOMBSTONES, Table.META}):
            cursor = transaction.cursor(table)
            there = cursor.set_range(b"")
            while there:
                found += cursor.key() + cursor.value()
                there = cursor.next()
    return found


def test_nothing_of_an_erased_subject_is_left(log: DecisionLog) -> None:
    """No table holds its pseudonym or one of its decisions' ids, but as erased."""
    found = erasure.erase(log.store, [ALICE], NOW_MS)[ALICE]
    of_alice = [decision_id(number) for number in range(2, MANY, 2)]
    count = len(of_alice)
    assert found.removed == Removed(count, count, count, count)
    content = bytes_of(log.store)
    assert ALICE not in content
    assert all(content.count(id_) == 1 for id_ in of_alice)
    with log.store.read() as transaction:
        assert all(transaction.get(Table.ERASED, id_) for id_ in of_alice)
    assert [type(each) for each in held_of(log.store, ALICE)] == [Tombstone]


def test_others_write_between_the_parts_of_an_erasure(
    log: DecisionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No transaction removes more than a few decisions, and between them decisions are stored."""
    write, remove_group = Store.write, erasure._remove_group
    numbers = iter(range(NOW_MS + 1, NOW_MS + MANY))
    removed: list[int] = []

    @contextmanager
    def watched(store: Store) -> Iterator[WriteTransaction]:
        with write(store) as transaction:
            before = transaction.count(Table.DECISIONS)
            yield transaction
            removed.append(before - transaction.count(Table.DECISIONS))

    def and_decide(*group: Any) -> None:  # noqa: ANN401 - whatever erasure gives
        remove_group(*group)
        afresh = decision(next(numbers), BOB)
        assert log.record([Proposal(afresh)]) == [afresh]

    monkeypatch.setattr(Store, "write", watched)
    monkeypatch.setattr(erasure, "_remove_group", and_decide)
    erasure.erase(log.store, [ALICE], NOW_MS)
    assert [each for each in removed if each] == [erasure.GROUP, MANY // 2 - 1 - erasure.GROUP]
    assert len(list(held_of(log.store, BOB))) == 6 * (MANY // 2) + 1 + 2


def test_erasure_leaves_everybody_else_alone(log: DecisionLog) -> None:
    """All that is held of another subject is the same before and after."""
    before = list(held_of(log.store, BOB))
    erasure.erase(log.store, [ALICE], NOW_MS)
    assert list(held_of(log.store, BOB)) == before
    assert len(before) == 6 * (MANY // 2) + 1


def test_many_subjects_are_erased_in_one_pass(log: DecisionLog) -> None:
    """The log is read once, whomever it is for, and each gets its own counts."""
    progress: list[int] = []
    total = erasure.rows_to_read(log.store)
    stranger = KEYS.pseudonym("nobody")
    found = erasure.erase(log.store, [ALICE, BOB, stranger, ALICE], NOW_MS, progress.append)
    # The requests of what is gone are still to be read when the pass over the decisions ends.
    assert sum(progress) == total
    assert [found[each].removed.decisions for each in (ALICE, BOB, stranger)] == [74, 75, 0]
    assert log.counts().decisions == log.counts().requests == 0


def test_a_request_after_an_erasure_starts_afresh(log: DecisionLog) -> None:
    """The same request id is answered anew, the contacts of before do not count, and it stays."""
    erasure.erase(log.store, [ALICE], NOW_MS)
    again = replace(proposal(NOW_MS + 7, ALICE), request_key=KEYS.request_key("request 2"))
    assert log.record([again]) == [again.decision]
    assert [each.decision_id for each in log.standing(ALICE).contacts] == [decision_id(NOW_MS + 7)]
    erasure.erase_again(log.store, erasure.tombstones(log.store))
    assert log.decision(decision_id(NOW_MS + 7)) == again.decision


def test_erasing_again_leaves_what_came_after(log: DecisionLog) -> None:
    """A backup made amid an erasure has decisions from after the tombstone: they go on counting."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(erasure, "_remove_group", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            erasure.erase(log.store, [ALICE], NOW_MS)
    fill(log, range(NOW_MS + 7, NOW_MS + 9))
    before = log.standing(ALICE)
    assert len(before.contacts) == len(before.responses) == 1
    found = erasure.erase_again(log.store, erasure.tombstones(log.store))
    assert found[ALICE].removed.decisions == MANY // 2 - 1
    assert log.standing(ALICE) == before
    findings: list[Finding] = []
    check(log.store, findings.append)
    assert findings == []


def test_reports_on_erased_decisions_are_counted_and_not_kept(log: DecisionLog) -> None:
    """A reward that comes after the erasure is unmatched, and no trace of it is stored."""
    erasure.erase(log.store, [ALICE], NOW_MS)
    before = bytes_of(log.store)
    taken, erased = log.taken().rewards, log.taken().erased.rewards
    late = replace(REWARD, decision_id=decision_id(2), reward_id="late")
    assert log.report_rewards([late]) == [ReportOutcome.UNMATCHED]
    assert (log.taken().rewards, log.taken().erased.rewards) == (taken + 1, erased + 1)
    assert list(log.orphans()) == []
    assert len(bytes_of(log.store)) == len(before)


def test_an_erasure_that_was_stopped_is_finished(
    log: DecisionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the tombstone, whatever is left is removed by `finish`, and not before."""
    with monkeypatch.context() as patch:
        patch.setattr(erasure, "_remove_group", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            erasure.erase(log.store, [ALICE], NOW_MS)
    assert erased_until_ms(erasure.tombstones(log.store)) == 0
    assert erasure.finish(log.store)[ALICE].removed.decisions == 74
    assert erased_until_ms(erasure.tombstones(log.store)) == NOW_MS
    assert ALICE not in bytes_of(log.store)


def test_decisions_from_the_future_are_erased_too(log: DecisionLog) -> None:
    """A clock that was set back leaves ids that are later than the erasure: they go as well."""
    fill(log, range(900_000, 900_004))
    erasure.erase(log.store, [ALICE], NOW_MS)
    assert ALICE not in bytes_of(log.store)


def test_a_second_erasure_with_an_earlier_clock_is_complete(log: DecisionLog) -> None:
    """An erasure after the clock was set back erases as far as the one before, and ends."""
    erasure.erase(log.store, [ALICE], NOW_MS)
    found = erasure.erase(log.store, [ALICE], NOW_MS - 1_000)[ALICE].tombstone
    assert found == Tombstone(ALICE, NOW_MS + 1, lower_bound(NOW_MS + 1), True)
    assert erasure.tombstones(log.store) == [found]


def test_what_was_trained_before_an_erasure_is_told_though_the_clock_was_set_back(
    log: DecisionLog, tmp_path: Path
) -> None:
    """The tombstone is later than what a model was free of by then, also in a restored log."""
    erasure.erase(log.store, [ALICE], NOW_MS)
    trained_ms = erased_until_ms(erasure.tombstones(log.store))
    erasure.erase(log.store, [BOB], NOW_MS - 1_000)
    tombs = {each.subject: each for each in erasure.tombstones(log.store)}
    assert tombs[BOB].erased_at_ms > trained_ms
    with opened(tmp_path / "older") as older:
        erasure.erase_again(older.store, read_file(tmp_path / TOMBSTONE_FILE, KEYS.fingerprint))
        latest_ms = erased_until_ms(erasure.tombstones(older.store))
        erasure.erase(older.store, [ALICE], NOW_MS - 2_000)
        assert max(each.erased_at_ms for each in erasure.tombstones(older.store)) > latest_ms


def test_what_was_in_the_making_when_its_subject_was_erased_is_refused(log: DecisionLog) -> None:
    """No pass would find it any more: it is to be decided again, and then it is stored.

    Others are not refused, whenever they were made.
    """
    erasure.erase(log.store, [ALICE], NOW_MS)
    made = [proposal(NOW_MS, ALICE), proposal(NOW_MS - 1, BOB), proposal(NOW_MS - 2, ALICE)]
    found = log.record(made)
    assert [type(each) for each in found] == [SubjectErased, Decision, SubjectErased]
    assert ALICE not in bytes_of(log.store)
    again = proposal(NOW_MS + 1, ALICE)
    assert log.record([again]) == [again.decision]


def test_a_clock_that_was_set_back_keeps_no_erased_subject_out(log: DecisionLog) -> None:
    """What is decided after the erasure by the clock is stored, though older ids are later."""
    fill(log, range(900_000, 900_004))
    erasure.erase(log.store, [ALICE], NOW_MS)
    afresh = proposal(NOW_MS + 1, ALICE)
    assert log.record([afresh]) == [afresh.decision]


def test_damaged_decisions_are_counted(log: DecisionLog) -> None:
    """Nobody knows whose a damaged decision is: the erasure says how many there are."""
    with log.store.write() as transaction:
        transaction.put(Table.DECISIONS, decision_id(3), b"broken")
    assert erasure.erase(log.store, [ALICE], NOW_MS)[ALICE].unreadable == 1


def test_tombstones_lie_beside_the_log(log: DecisionLog, tmp_path: Path) -> None:
    """The file names each erased subject by its pseudonym, with the bound of its erasure."""
    erasure.erase(log.store, [ALICE], NOW_MS)
    erasure.erase(log.store, [BOB, ALICE], NOW_MS + 1)
    found = read_file(tmp_path / TOMBSTONE_FILE, KEYS.fingerprint)
    assert {(each.subject, each.erased_at_ms, each.through) for each in found} == {
        (ALICE, NOW_MS + 1, lower_bound(NOW_MS + 2)),
        (BOB, NOW_MS + 1, lower_bound(NOW_MS + 2)),
    }
    assert (tmp_path / TOMBSTONE_FILE).stat().st_mode & 0o777 == 0o600


def test_an_older_copy_forgets_again(log: DecisionLog, tmp_path: Path) -> None:
    """Tombstones of the file erase from another log what they erased from the first."""
    erasure.erase(log.store, [ALICE], NOW_MS)
    beside = read_file(tmp_path / TOMBSTONE_FILE, KEYS.fingerprint)
    with opened(tmp_path / "older") as older:
        fill(older)
        assert erasure.erase_again(older.store, beside)[ALICE].removed.decisions == 74
        assert bytes_of(older.store) == bytes_of(log.store)
        assert erasure.erase_again(older.store, beside) == {}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nonsense", "no tombstone"),
        ("{}", "no tombstone"),
        ("[1]", "no tombstone"),
        (json.dumps({"subject": "aa", "through": "", "key": "", "erased_at_ms": 1}), "no tomb"),
    ],
)
def test_a_broken_tombstone_file_is_refused(tmp_path: Path, line: str, problem: str) -> None:
    """A line that cannot be read could be the one that matters: it is named, not skipped."""
    path = tmp_path / TOMBSTONE_FILE
    path.write_text(line + "\n")
    with pytest.raises(TombstoneFileError, match=problem):
        read_file(path, KEYS.fingerprint)


def test_tombstones_of_another_key_are_refused(log: DecisionLog, tmp_path: Path) -> None:
    """Pseudonyms of another key name nobody here."""
    erasure.erase(log.store, [ALICE], NOW_MS)
    with pytest.raises(TombstoneFileError, match="under the key"):
        read_file(tmp_path / TOMBSTONE_FILE, b"another")


def test_what_a_crash_cut_short_is_no_tombstone(log: DecisionLog, tmp_path: Path) -> None:
    """A torn last line was never acknowledged: it is left out, and written over."""
    path = tmp_path / TOMBSTONE_FILE
    path.write_text('{"subject": "ab')
    assert read_file(path, KEYS.fingerprint) == []
    erasure.erase(log.store, [ALICE], NOW_MS)
    assert [each.subject for each in read_file(path, KEYS.fingerprint)] == [ALICE]


def test_trained_until_the_first_unfinished_erasure() -> None:
    """What the log is free of ends where an erasure is not complete."""
    done = [Tombstone(ALICE, 10, b"", True), Tombstone(BOB, 30, b"", True)]
    begun = Tombstone(b"c" * 16, 20, b"")
    assert erased_until_ms([]) == 0
    assert erased_until_ms(done) == 30
    assert erased_until_ms([*done, begun]) == 10


def test_the_golden_line_of_a_tombstone(tmp_path: Path) -> None:
    """Files of tombstones written by the first version are read, and written, the same today."""
    line = (
        '{"subject": "61616161616161616161616161616161", "erased_at_ms": 5000, '
        '"through": "00000000138970008000000000000000", '
        '"key": "6b6579"}\n'
    )
    tombstone = Tombstone(b"a" * 16, NOW_MS, decision_id(NOW_MS + 1))
    (tmp_path / "old").write_text(line)
    assert read_file(tmp_path / "old", b"key") == [tombstone]
    append_to_file(tmp_path / "new", [tombstone], b"key")
    assert (tmp_path / "new").read_text() == line
