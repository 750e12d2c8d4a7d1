"""Faults under a real log: killed writers, no room, damage, several processes."""

import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from decisionlog import DamagedRecord, DecisionLog, LogDamaged, LogFull, Proposal, erasure
from decisionlog.codec import encode_decision
from decisionlog.store import Store
from decisionlog.tables import Table
from replay.ledger import ledger
from tests.decisionlog.recount import assert_what_counts_is_what_happened
from tests.decisionlog.samples import KEYS, MAP_SIZE_BYTES, decision_id
from tests.shop import shop
from tests.simulation import log_worker
from tests.simulation.log_worker import (
    APART,
    CAP,
    CONTACTS_TRIED,
    ERASED_TOGETHER,
    LISTENED,
    decision,
    delivery,
    open_log,
    proposal,
    reward,
)
from tests.simulation.workers import worker

SMALL_MAP_BYTES = 256 * 1024
MANY = 100_000
KILLS = 25
"""In each of the two short runs: fifty together."""
KILLS_LONG = 1_000
SUBJECTS_MANY = 300
WRITERS = 2
RUNS = [KILLS, pytest.param(KILLS_LONG, marks=pytest.mark.soak)]


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


@pytest.mark.parametrize("kills", RUNS)
def test_killed_writers_lose_nothing_acknowledged(
    tmp_path: Path, rng: random.Random, kills: int
) -> None:
    """However two writers are killed, all that they acknowledged is there, once and whole."""
    acknowledged: list[str] = []
    for kill in range(kills):
        starts = [1_000_000 * (WRITERS * kill + writer) for writer in range(WRITERS)]
        with (
            worker("write", tmp_path, starts[0]) as one,
            worker("write", tmp_path, starts[1]) as two,
        ):
            acknowledged += [one.line() for _ in range(rng.randrange(1, 40))]
            acknowledged += [two.line() for _ in range(rng.randrange(1, 40))]
            time.sleep(rng.uniform(0, 0.02))
            one.kill()
            two.kill()
            acknowledged += one.lines() + two.lines()
        with open_log(tmp_path) as log:
            words = held(log)
            assert len(words) == len(set(words))
            assert set(acknowledged) <= set(words)
            assert log.counts().decisions == log.counts().requests
            assert list(log.orphans()) == []
    with open_log(tmp_path) as log:
        assert ledger(log, shop().reward).balanced


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


@pytest.mark.parametrize("kills", RUNS)
def test_killed_writers_leave_what_counts_exact(
    tmp_path: Path, rng: random.Random, kills: int
) -> None:
    """However two writers are killed, contacts and budgets are those of what was stored.

    No subject ever has more contacts than the cap allows, though both writers try for the same
    subjects; and nothing that was acknowledged is missing.
    """
    most = 0
    acknowledged: list[str] = []
    for kill in range(kills):
        starts = [APART * (WRITERS * kill + writer) for writer in range(WRITERS)]
        with (
            worker("contact", tmp_path, starts[0]) as one,
            worker("contact", tmp_path, starts[1]) as two,
        ):
            acknowledged += [one.line() for _ in range(rng.randrange(1, 40))]
            acknowledged += [two.line() for _ in range(rng.randrange(1, 20))]
            time.sleep(rng.uniform(0, 0.02))
            one.kill()
            two.kill()
            acknowledged += one.lines() + two.lines()
        with open_log(tmp_path) as log:
            standings = assert_what_counts_is_what_happened(log, LISTENED)
            most = max([most, *(len(each.contacts) for each in standings.values())])
            assert most <= CAP
            reserved = [each.decision_id for each in log.reservations()]
            assert reserved == [logged.decision.decision_id for logged in log.scan()]
            assert set(acknowledged) <= set(told_of(log))
    assert most == CAP
    with open_log(tmp_path) as log:
        assert log.counts().requests == log.counts().decisions
        assert ledger(log, shop().reward).balanced


def told_of(log: DecisionLog) -> Iterator[str]:
    """Yield all that a log holds, in the words of the writers of contacts."""
    for logged in log.scan():
        number = logged.decision.decided_at_ms
        yield f"contact {number}"
        yield from (f"{each.status.name} {number}" for each in logged.deliveries)
        yield from (f"{each.name} {number}" for each in logged.rewards)


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
    """Of 200 concurrent repeats in two processes exactly one stores, and all answer with it."""
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a directory on a file system of 1 MiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        reason = "NOT TESTED: a full disk; this user may not mount a small file system"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


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
