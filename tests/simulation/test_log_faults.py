"""Faults under a real log: killed writers, no room, damage, several processes."""

import random
import time
from pathlib import Path

import pytest

from decisionlog import DamagedRecord, DecisionLog, LogDamaged, LogFull, Proposal, erasure
from decisionlog.checking import Finding, check
from decisionlog.codec import encode_decision
from decisionlog.store import Store
from decisionlog.tables import Table
from policy.registry import Registry
from replay.ledger import ledger
from replay.verify import Sought, verify
from tests.decisionlog.recount import assert_what_counts_is_what_happened, reservations
from tests.decisionlog.samples import KEYS, decision_id
from tests.shop import shop
from tests.simulation import deciding, log_worker
from tests.simulation.log_worker import (
    CAP,
    CONTACTS_TRIED,
    ERASED_TOGETHER,
    MAP_SIZE_BYTES,
    decision,
    delivery,
    open_log,
    proposal,
    reward,
)
from tests.simulation.workers import worker

SMALL_MAP_BYTES = 256 * 1024
MANY = 100_000
KILLS = 50
HISTORIES_LONG = 20
KILLS_LONG = 1_000
SUBJECTS_MANY = 300


def held(log: DecisionLog) -> list[str]:
    """Return all that a log holds, in the workers' words; every record is checked on the way."""
    words = []
    for logged in log.scan(slice_size=7):
        number = logged.decision.decided_at_ms
        assert logged.decision == decision(number)
        assert logged.deliveries in ((), (delivery(number),))
        assert logged.rewards in ((), (reward(number),))
        assert log.find_request(KEYS.request_key(str(number))) == logged.decision
        words += [f"decision {number}"]
        words += [f"delivery {number}" for _ in logged.deliveries]
        words += [f"reward {number}" for _ in logged.rewards]
    return words


@pytest.mark.parametrize("histories", [1, pytest.param(HISTORIES_LONG, marks=pytest.mark.soak)])
def test_killed_writers_lose_nothing_acknowledged(
    tmp_path: Path, rng: random.Random, histories: int
) -> None:
    """However two writers are killed, all that they acknowledged is there once, and is exact.

    They decide by real policies, for the same customers, and go on after each kill where the
    slower one was: so each repeats what it does not know to be stored, and more. What counts is
    what was stored, no customer has more contacts than the cap allows, no budget is exceeded, the
    ledger balances, every page and row is sound, and every decision can be recomputed bit for bit.
    """
    for history in range(histories):
        directory = tmp_path / str(history)
        chain = deciding.prepare(directory)
        acknowledged: set[str] = set()
        place = most = 0
        for _ in range(KILLS):
            said = killed_writers(directory, place, rng)
            place = min(int(words[-1].split()[1]) for words in said) // deciding.WRITERS
            acknowledged.update(*said)
            with open_log(directory) as log:
                assert_kept_once(log, acknowledged)
                most = max(most, most_contacts(log))
        assert most == deciding.CAP
        with open_log(directory) as log:
            assert_exact(log, Registry(directory), {"uniform", chain})


def killed_writers(directory: Path, place: int, rng: random.Random) -> list[list[str]]:
    """Kill two writers at moments of the seed's choice; return what each had acknowledged."""
    start = place * deciding.WRITERS
    with (
        worker("decide", directory, start) as one,
        worker("decide", directory, start + 1) as two,
    ):
        said = [[each.line() for _ in range(rng.randrange(1, 40))] for each in (one, two)]
        assert all(map(all, said)), "a writer has ended by itself"
        time.sleep(rng.uniform(0, 0.02))
        one.kill()
        two.kill()
        return [words + each.lines() for words, each in zip(said, (one, two), strict=True)]


def assert_kept_once(log: DecisionLog, acknowledged: set[str]) -> None:
    """Hold that a log has all that was acknowledged, as it was, and everything but once."""
    words = [word for logged in log.scan() for word in deciding.told(logged)]
    assert acknowledged <= set(words)
    numbers = [tuple(word.split()[:2]) for word in words]
    assert len(numbers) == len(set(numbers))
    assert log.counts().requests == log.counts().decisions
    assert list(log.orphans()) == []


def most_contacts(log: DecisionLog) -> int:
    """Return the most that a customer got, never above the cap; budgets are held as well."""
    standings = assert_what_counts_is_what_happened(log, deciding.LISTENED)
    most = max((len(each.contacts) for each in standings.values()), default=0)
    assert most <= deciding.CAP
    decided = [each.contact for each in reservations(log) if each.contact]
    days = {slot[:3] for each in decided for slot in each.slots if slot[1] == "spring"}
    spent = [sum(hours) for hours in log.spent(days).values()]
    assert max(spent, default=0) <= deciding.BUDGET
    return most


def assert_exact(log: DecisionLog, registry: Registry, policies: set[str]) -> None:
    """Hold that a log balances, is sound, and can be recomputed; it has decisions of policies."""
    assert ledger(log, deciding.catalog().reward).balanced
    findings: list[Finding] = []
    check(log.store, findings.append)
    assert findings == []
    assert policies <= {logged.decision.policy_version for logged in log.scan()}
    found = verify(Sought(log, registry))
    assert found.mismatches == ()
    assert found.exact == found.decisions == log.counts().decisions


@pytest.mark.parametrize("kills", [10, pytest.param(KILLS_LONG, marks=pytest.mark.soak)])
def test_killed_erasures_are_finished(tmp_path: Path, rng: random.Random, kills: int) -> None:
    """However an erasure is killed, what it acknowledged is gone, and the rest can be finished.

    Nothing is half-removed: the ledger balances after every kill.
    """
    with open_log(tmp_path) as log:
        log.record([proposal(number) for number in range(SUBJECTS_MANY * CONTACTS_TRIED)])
    erased: set[bytes] = set()
    for kill in range(kills):
        with worker("erase", tmp_path, kill * ERASED_TOGETHER) as one:
            said = [one.line() for _ in range(rng.randrange(0, 2))]
            time.sleep(rng.uniform(0, 0.02))
            one.kill()
            said += one.lines()
        erased |= {bytes.fromhex(line) for line in said if line}
        with open_log(tmp_path) as log:
            left = {logged.decision.subject for logged in log.scan()}
            assert not erased & left
            assert ledger(log, shop().reward).balanced
    with open_log(tmp_path) as log:
        erasure.finish(log.store)
        assert all(each.is_complete for each in erasure.tombstones(log.store))
        buried = {each.subject for each in erasure.tombstones(log.store)}
        assert not buried & {logged.decision.subject for logged in log.scan()}
        assert ledger(log, shop().reward).balanced


def test_a_cap_holds_over_processes(tmp_path: Path) -> None:
    """Of 128 contacts that two processes try at once for one subject, exactly three are made."""
    open_log(tmp_path).close()
    with worker("rush", tmp_path, 1_000) as one, worker("rush", tmp_path, 2_000) as two:
        assert [one.line(), two.line()] == ["ready", "ready"]
        one.go()
        two.go()
        answers = one.lines() + two.lines()
    assert (answers.count("stored"), len(answers)) == (CAP, 2 * log_worker.RUSHES)
    with open_log(tmp_path) as log:
        (standing,) = assert_what_counts_is_what_happened(log).values()
        assert len(standing.contacts) == log.counts().decisions == CAP


def test_one_request_to_two_processes_is_one_decision(tmp_path: Path) -> None:
    """Of 1,000 concurrent repeats in two processes exactly one stores, and all answer with it."""
    open_log(tmp_path).close()
    with worker("repeat", tmp_path, 1_000) as one, worker("repeat", tmp_path, 2_000) as two:
        assert [one.line(), two.line()] == ["ready", "ready"]
        one.go()
        two.go()
        answers = one.lines() + two.lines()
    (stored,) = [answer for answer in answers if answer.startswith("stored")]
    number = int(stored.split()[1])
    assert answers.count(f"repeat {number}") == len(answers) - 1 == 2 * log_worker.REPEATS - 1
    with open_log(tmp_path) as log:
        assert log.counts().decisions == 1
        assert log.find_request(KEYS.request_key("the one")) == decision(number)


def test_a_killed_reader_leaves_nothing_behind(tmp_path: Path) -> None:
    """Opening the log clears what a killed reader left, while others go on reading."""
    open_log(tmp_path).close()
    with worker("read", tmp_path) as living, worker("read", tmp_path) as killed:
        assert [living.line(), killed.line()] == ["reading", "reading"]
        killed.kill()
        killed.wait()
        with Store(tmp_path, map_size_bytes=MAP_SIZE_BYTES) as store:
            readers = store._environment.readers().split()
    assert str(killed.pid) not in readers
    assert str(living.pid) in readers


def fill_up(log: DecisionLog, batch_size: int) -> tuple[int, LogFull]:
    """Store decisions in batches until there is no room; return how many were acknowledged."""
    for start in range(0, MANY, batch_size):
        numbers = range(start, start + batch_size)
        try:
            log.record([Proposal(decision(n), KEYS.request_key(str(n))) for n in numbers])
        except LogFull as error:
            return start, error
    pytest.fail(f"{MANY} decisions filled nothing")


def open_small(directory: Path, map_size_bytes: int = SMALL_MAP_BYTES) -> DecisionLog:
    """Open a log with little room."""
    return DecisionLog.open(directory, keys=KEYS, map_size_bytes=map_size_bytes)


def test_a_full_map_stores_nothing_of_what_it_refuses(tmp_path: Path) -> None:
    """A batch without room is refused whole; what is there stays, and can be read."""
    with open_small(tmp_path) as log:
        acknowledged, error = fill_up(log, batch_size=10)
        assert error.problem == "its map is full"
        assert held(log) == [f"decision {number}" for number in range(acknowledged)]
        assert log.counts().requests == acknowledged > 0


def test_a_full_map_goes_on_with_a_larger_one(tmp_path: Path) -> None:
    """A full log opens, and with a larger map takes what it had refused."""
    with open_small(tmp_path) as log:
        acknowledged, _ = fill_up(log, batch_size=10)
    with open_small(tmp_path) as log:
        assert log.counts().decisions == acknowledged
    with open_small(tmp_path, 2 * SMALL_MAP_BYTES) as log:
        offered = decision(acknowledged)
        assert log.record([Proposal(offered)]) == [offered]


def test_a_full_map_goes_on_after_deletions(tmp_path: Path) -> None:
    """When old records are deleted, the log takes new ones in their room."""
    with open_small(tmp_path) as log:
        acknowledged, _ = fill_up(log, batch_size=10)
    with Store(tmp_path, map_size_bytes=SMALL_MAP_BYTES) as store:
        for number in range(acknowledged // 2):
            with store.write() as transaction:
                store.open_tables(transaction)
                assert transaction.delete(Table.DECISIONS, decision_id(number))
    with open_small(tmp_path) as log:
        numbers = range(acknowledged, acknowledged + 10)
        assert len(log.record([Proposal(decision(n)) for n in numbers])) == 10


def test_files_that_cannot_grow_refuse_and_then_go_on(tmp_path: Path) -> None:
    """Without room on disk a decision is refused, not half-written; with room the log goes on."""
    with worker("fill", tmp_path) as process:
        *acknowledged, full, last = process.lines()
        assert process.wait() == 0
    _, error, number = full.split()
    assert error in {"LogFull", "LogUnavailable"}
    assert last == f"decision {number}"
    with open_log(tmp_path) as log:
        read = [f"decision {logged.decision.decided_at_ms}" for logged in log.scan()]
    assert read == [*acknowledged, last]


def test_a_full_disk_is_a_full_log(small_disk: Path) -> None:
    """On a full disk the log says that it is full, keeps what it has, and goes on when it may."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(512 * 1024))
    with open_log(small_disk) as log:
        acknowledged, error = fill_up(log, batch_size=1)
        assert error.problem == "its disk is full"
        assert held(log) == [f"decision {number}" for number in range(acknowledged)]
        ballast.unlink()
        offered = decision(acknowledged)
        assert log.record([Proposal(offered)]) == [offered]


def test_many_read_from_a_full_disk(small_disk: Path) -> None:
    """Where nothing can be allocated any more, two hundred readers at once still have room."""
    with worker("crowd", small_disk) as process:
        (line,) = process.lines()
        assert process.wait() == 0
    with open_log(small_disk) as log:
        assert line == f"read {log.counts().decisions}"


def test_a_flipped_byte_in_the_file_is_found(tmp_path: Path, rng: random.Random) -> None:
    """Whichever bit of a stored decision the disk flips, it is named and the others are read."""
    with open_log(tmp_path) as log:
        log.record([Proposal(decision(number)) for number in range(3)])
    file = tmp_path / "log" / "data.mdb"
    content = bytearray(file.read_bytes())
    value = encode_decision(decision(1))
    place = content.index(value) + rng.randrange(len(value))
    content[place] ^= 1 << rng.randrange(8)
    file.write_bytes(content)
    told: list[DamagedRecord] = []
    with open_log(tmp_path) as log:
        read = [logged.decision for logged in log.scan(on_damage=told.append)]
    assert read == [decision(0), decision(2)]
    assert [damage.key for damage in told] == [decision_id(1)]


def test_an_overwritten_file_is_refused(tmp_path: Path, rng: random.Random) -> None:
    """A file whose beginning is gone is reported as damaged, and left as it is."""
    open_log(tmp_path).close()
    file = tmp_path / "log" / "data.mdb"
    content = rng.randbytes(file.stat().st_size)
    file.write_bytes(content)
    with pytest.raises(LogDamaged, match="restore the log from a backup"):
        open_log(tmp_path)
    assert file.read_bytes() == content
