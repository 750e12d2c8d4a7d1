"""The log: what it promises to its callers, on a real store."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from decisionlog import (
    Counts,
    DecisionIdReused,
    DecisionLog,
    DeliveryIdReused,
    DeliveryStatus,
    InvalidRecord,
    KeyRequired,
    Keys,
    LogClosed,
    LogMissing,
    LogReadOnly,
    LogUnavailable,
    Proposal,
    RecordTooLarge,
    ReportOutcome,
    RequestIdReused,
    RewardIdReused,
    WrongKey,
)
from decisionlog.sealing import MAX_PAYLOAD_BYTES
from tests.decisionlog import samples
from tests.decisionlog.samples import DECISION, DELIVERY, KEYS, REWARD, decision_id

ACCEPTED, REPEATED, UNMATCHED = ReportOutcome
REQUEST = b"r" * 16


def open_log(directory: Path, *, keys: Keys | None = KEYS, read_only: bool = False) -> DecisionLog:
    """Open a log with a small map."""
    return DecisionLog.open(
        directory, keys=keys, read_only=read_only, map_size_bytes=samples.MAP_SIZE_BYTES
    )


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DecisionLog]:
    """Yield an empty log."""
    with open_log(tmp_path) as opened:
        yield opened


def test_a_decision_is_found_by_its_id(log: DecisionLog) -> None:
    """What was recorded is read back; other ids are not found."""
    assert log.record([Proposal(DECISION)]) == [DECISION]
    assert log.decision(DECISION.decision_id) == DECISION
    assert log.decision(decision_id(1)) is None


def test_a_stored_decision_is_the_very_object(log: DecisionLog) -> None:
    """The caller can tell a repeat: what was stored now is what it gave, an earlier one is not."""
    later = replace(DECISION, decision_id=decision_id(2))
    (stored,) = log.record([Proposal(DECISION, REQUEST)])
    (repeat,) = log.record([Proposal(later, REQUEST)])
    (same_id,) = log.record([Proposal(replace(DECISION), REQUEST)])
    assert stored is DECISION
    assert repeat == same_id == DECISION
    assert repeat is not later
    assert log.decision(later.decision_id) is None


def test_a_request_is_found_by_its_key(log: DecisionLog) -> None:
    """The decision that answered a request is found; other requests are not."""
    log.record([Proposal(DECISION, REQUEST)])
    assert log.find_request(REQUEST) == DECISION
    assert log.find_request(b"x" * 16) is None


def test_a_request_id_with_another_request_is_refused(log: DecisionLog) -> None:
    """The error names the decision in force, and nothing of the new one is stored."""
    other = replace(DECISION, decision_id=decision_id(3), request_digest=b"e" * 16)
    log.record([Proposal(DECISION, REQUEST)])
    (refused,) = log.record([Proposal(other, REQUEST)])
    assert isinstance(refused, RequestIdReused)
    assert refused.decision_id == DECISION.decision_id
    assert log.counts().decisions == 1


def test_a_batch_answers_each_on_its_own(log: DecisionLog) -> None:
    """One call may hold news, a repeat of one of them and a misused id, in any order."""
    new = [replace(DECISION, decision_id=decision_id(number)) for number in range(4)]
    misuse = replace(new[2], request_digest=b"e" * 16)
    results = log.record(
        [*(Proposal(each, REQUEST) for each in (new[0], new[1], misuse)), Proposal(new[3])]
    )
    assert results[:2] == [new[0], new[0]]
    assert isinstance(results[2], RequestIdReused)
    assert results[3] is new[3]
    assert log.counts().decisions == 2


def test_a_decision_id_is_never_overwritten(log: DecisionLog) -> None:
    """The same decision may be recorded again after a doubt; another one under its id may not."""
    (first,) = log.record([Proposal(DECISION)])
    (again,) = log.record([Proposal(DECISION)])
    (other,) = log.record([Proposal(replace(DECISION, arm=3))])
    assert first is again is DECISION
    assert isinstance(other, DecisionIdReused)
    assert log.decision(DECISION.decision_id) == DECISION


def test_a_decision_that_cannot_be_stored_disturbs_no_other(log: DecisionLog) -> None:
    """Each bad record has its own error in its own place; the others of the call are stored."""
    huge = replace(DECISION, features={"text": "x" * MAX_PAYLOAD_BYTES})
    other = replace(DECISION, decision_id=decision_id(1))
    asked = [DECISION, replace(DECISION, subject=b""), huge, other]
    first, invalid, large, last = log.record([Proposal(decision) for decision in asked])
    assert (first, last) == (DECISION, other)
    assert type(invalid) is InvalidRecord
    assert isinstance(large, RecordTooLarge)
    assert large.size_bytes > large.maximum_bytes == MAX_PAYLOAD_BYTES
    assert log.counts().decisions == 2


def test_decisions_that_come_out_of_order_are_stored(log: DecisionLog) -> None:
    """An id older than the last one is stored as well, in its place."""
    numbers = [5, 1, 9, 3, 7, 2]
    log.record([Proposal(replace(DECISION, decision_id=decision_id(n))) for n in numbers])
    read = [logged.decision.decided_at_ms for logged in log.scan()]
    assert read == sorted(numbers)


def test_reports_are_accepted_for_known_decisions_only(log: DecisionLog) -> None:
    """A report on an unknown decision is stored as unmatched, and matches once it is there."""
    assert log.report_deliveries([DELIVERY]) == [UNMATCHED]
    assert log.report_rewards([REWARD]) == [UNMATCHED]
    log.record([Proposal(DECISION)])
    assert log.report_rewards([replace(REWARD, reward_id="second")]) == [ACCEPTED]
    (logged,) = log.scan()
    assert logged.deliveries == (DELIVERY,)
    assert {reward.reward_id for reward in logged.rewards} == {REWARD.reward_id, "second"}


def test_repeated_reports_are_counted_not_stored(log: DecisionLog) -> None:
    """The same report again, received later, changes nothing but its counter."""
    log.record([Proposal(DECISION)])
    later = [replace(REWARD, received_at_ms=REWARD.received_at_ms + n) for n in range(3)]
    assert log.report_rewards(later) == [ACCEPTED, REPEATED, REPEATED]
    assert log.report_deliveries([DELIVERY]) == [ACCEPTED]
    assert log.report_deliveries([replace(DELIVERY, received_at_ms=0)]) == [REPEATED]
    assert log.counts() == Counts(1, 1, 1, 0, deliveries_repeated=1, rewards_repeated=2)
    assert next(log.scan()).rewards == (REWARD,)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "visit"},
        {"value": 30.0},
        {"occurred_at_ms": REWARD.occurred_at_ms + 1},
        {"occurred_at_ms": 7, "received_at_ms": 7},
    ],
)
def test_a_reward_id_with_another_reward_is_refused(
    log: DecisionLog, change: dict[str, str | float | int]
) -> None:
    """Another name, value or time under a used id is an error, and the first reward stays."""
    log.report_rewards([REWARD])
    (refused,) = log.report_rewards([replace(REWARD, **change)])  # type: ignore[arg-type]
    assert isinstance(refused, RewardIdReused)
    assert (refused.decision_id, refused.reward_id) == (REWARD.decision_id, REWARD.reward_id)
    assert list(log.orphans()) == [REWARD]
    assert log.counts().rewards_repeated == 0


@pytest.mark.parametrize(
    "change",
    [
        {"status": DeliveryStatus.FAILED},
        {"actual_offer": "mens"},
        {"actual_channel": "push"},
        {"actual_send_time_ms": 0},
        {"detail": ""},
        {"occurred_at_ms": 0},
    ],
)
def test_a_delivery_id_with_another_report_is_refused(
    log: DecisionLog, change: dict[str, str | int]
) -> None:
    """Another content under a used id is an error, and the first report stays."""
    log.report_deliveries([DELIVERY])
    (refused,) = log.report_deliveries([replace(DELIVERY, **change)])  # type: ignore[arg-type]
    assert isinstance(refused, DeliveryIdReused)
    assert (refused.decision_id, refused.delivery_id) == (
        DELIVERY.decision_id,
        DELIVERY.delivery_id,
    )
    assert list(log.orphans()) == [DELIVERY]


def test_times_stamped_on_receipt_do_not_count(log: DecisionLog) -> None:
    """A caller that leaves the time to us can repeat its report later."""
    first = replace(REWARD, occurred_at_ms=5, received_at_ms=5)
    again = replace(REWARD, occurred_at_ms=9, received_at_ms=9)
    timed = replace(REWARD, occurred_at_ms=4, received_at_ms=10)
    taken, repeated, refused = log.report_rewards([first, again, timed])
    assert (taken, repeated) == (UNMATCHED, REPEATED)
    assert isinstance(refused, RewardIdReused)
    assert list(log.orphans()) == [first]


def test_reward_ids_are_the_decisions_own(log: DecisionLog) -> None:
    """Two decisions may have rewards with one id."""
    other = replace(REWARD, decision_id=decision_id(1), value=1.0)
    assert log.report_rewards([REWARD, other]) == [UNMATCHED, UNMATCHED]


def test_nothing_is_lost_by_closing(tmp_path: Path) -> None:
    """What was acknowledged is there after the log was closed and opened again."""
    with open_log(tmp_path) as log:
        log.record([Proposal(DECISION, REQUEST)])
        log.report_rewards([REWARD, REWARD])
        before = log.counts()
    with open_log(tmp_path) as log:
        assert log.find_request(REQUEST) == DECISION
        assert log.counts() == before == Counts(1, 0, 1, 1, 0, 1)


def test_a_log_knows_when_it_was_begun(tmp_path: Path) -> None:
    """The first opening's time stays."""
    clock_ms = iter([1_000, 2_000]).__next__
    for _ in range(2):
        with DecisionLog.open(tmp_path, keys=KEYS, map_size_bytes=2**20, clock_ms=clock_ms) as log:
            assert log.created_at_ms() == 1_000


def test_a_closed_log_says_so(tmp_path: Path) -> None:
    """Using a log after it was closed is a clear error, for reading as for writing."""
    log = open_log(tmp_path)
    log.close()
    with pytest.raises(LogClosed):
        log.record([Proposal(DECISION)])
    with pytest.raises(LogClosed):
        log.decision(DECISION.decision_id)
    log.close()


def test_a_reader_sees_what_is_there_and_writes_nothing(tmp_path: Path) -> None:
    """A log opened for reading needs no key and refuses to write."""
    with open_log(tmp_path) as log:
        log.record([Proposal(DECISION)])
    with open_log(tmp_path, keys=None, read_only=True) as log:
        assert [logged.decision for logged in log.scan()] == [DECISION]
        with pytest.raises(LogReadOnly):
            log.record([Proposal(DECISION)])


def test_reading_a_log_that_is_not_there_makes_none(tmp_path: Path) -> None:
    """A mistyped directory is an error and stays as it was."""
    with pytest.raises(LogMissing) as caught:
        open_log(tmp_path / "typo", read_only=True)
    assert caught.value.directory == tmp_path / "typo"
    assert not (tmp_path / "typo").exists()


def test_another_key_is_refused(tmp_path: Path) -> None:
    """A log refuses to be written or read with a key that it was not begun with."""
    open_log(tmp_path).close()
    for read_only in (False, True):
        with pytest.raises(WrongKey) as caught:
            open_log(tmp_path, keys=Keys(bytes(32)), read_only=read_only)
        assert caught.value.expected == KEYS.fingerprint
        assert caught.value.found == Keys(bytes(32)).fingerprint


def test_a_log_is_not_begun_without_a_key(tmp_path: Path) -> None:
    """Pseudonyms need a key from the first record on; a log that has one can be opened without."""
    with pytest.raises(KeyRequired):
        open_log(tmp_path, keys=None)
    open_log(tmp_path).close()
    open_log(tmp_path, keys=None).close()


def test_a_refused_log_can_be_opened_rightly_afterwards(tmp_path: Path) -> None:
    """A refusal leaves no lock and no open file behind."""
    open_log(tmp_path).close()
    with pytest.raises(WrongKey):
        open_log(tmp_path, keys=Keys(bytes(32)))
    open_log(tmp_path).close()


def test_a_second_opening_in_one_process_is_refused(tmp_path: Path) -> None:
    """The store cannot be open twice in a process; the error says so."""
    with open_log(tmp_path), pytest.raises(LogUnavailable, match="already open in this process"):
        open_log(tmp_path)


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """The system's reason reaches the operator."""
    (tmp_path / "file").touch()
    with pytest.raises(LogUnavailable, match="Not a directory"):
        open_log(tmp_path / "file")


def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    """The log's directory and files are closed to others, whatever the data directory is."""
    with open_log(tmp_path):
        modes = {path.name: path.stat().st_mode & 0o777 for path in [*(tmp_path / "log").iterdir()]}
        assert modes == {"data.mdb": 0o600, "lock.mdb": 0o600}
        assert (tmp_path / "log").stat().st_mode & 0o777 == 0o700


def test_a_copy_of_the_directory_is_a_log(tmp_path: Path) -> None:
    """Nothing in the log depends on where it lies."""
    with open_log(tmp_path / "a") as log:
        log.record([Proposal(DECISION)])
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with open_log(tmp_path / "b", read_only=True) as log:
        assert log.decision(DECISION.decision_id) == DECISION


def test_concurrent_repeats_of_a_request_are_one_decision(log: DecisionLog) -> None:
    """Of 200 concurrent calls with one request id exactly one stores, all get its decision."""
    offers = [replace(DECISION, decision_id=decision_id(number)) for number in range(200)]
    with ThreadPoolExecutor(32) as pool:
        results = list(pool.map(lambda offer: log.record([Proposal(offer, REQUEST)])[0], offers))
    stored = [result for offer, result in zip(offers, results, strict=True) if offer is result]
    assert len(stored) == 1
    assert results == stored * 200
    assert (log.counts().decisions, log.counts().requests) == (1, 1)


def test_commits_are_observed(tmp_path: Path) -> None:
    """The observer is told of a commit with its operations."""
    told: list[int] = []
    with DecisionLog.open(
        tmp_path, keys=KEYS, map_size_bytes=2**20, on_commit=lambda _, n: told.append(n)
    ) as log:
        log.record([Proposal(DECISION)])
    assert told == [1]
