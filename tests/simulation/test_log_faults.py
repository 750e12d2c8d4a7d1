"""Faults under a real log: killed writers, no room, damage, several processes."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from decisionlog import DamagedRecord, DecisionLog, LogDamaged, LogFull, Proposal
from decisionlog.codec import encode_decision
from decisionlog.store import Store
from decisionlog.tables import Table
from tests.decisionlog.recount import assert_what_counts_is_what_happened
from tests.decisionlog.samples import KEYS, MAP_SIZE_BYTES, decision_id
from tests.simulation import log_worker
from tests.simulation.log_worker import APART, CAP, LISTENED, decision, delivery, open_log, reward

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "proto")])}
SMALL_MAP_BYTES = 256 * 1024
MANY = 100_000
KILLS = 4
WRITERS = 2


@contextmanager
def worker(act: str, directory: Path, first: int = 0) -> Iterator["subprocess.Popen[str]"]:
    """Run a worker; make sure that it ends."""
    command = [sys.executable, log_worker.__file__, act, str(directory), str(first)]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_of(process: "subprocess.Popen[str]") -> list[str]:
    """Return the whole lines that a process says until it ends."""
    assert process.stdout is not None
    return [line.strip() for line in process.stdout if line.endswith("\n")]


def line_of(process: "subprocess.Popen[str]") -> str:
    """Return the next line that a process says."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: "subprocess.Popen[str]") -> None:
    """Let a waiting worker go on."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


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


def test_killed_writers_lose_nothing_acknowledged(tmp_path: Path, rng: random.Random) -> None:
    """However two writers are killed, all that they acknowledged is there, once and whole."""
    acknowledged: list[str] = []
    for kill in range(KILLS):
        starts = [1_000_000 * (WRITERS * kill + writer) for writer in range(WRITERS)]
        with (
            worker("write", tmp_path, starts[0]) as one,
            worker("write", tmp_path, starts[1]) as two,
        ):
            acknowledged += [line_of(one) for _ in range(rng.randrange(1, 40))]
            acknowledged += [line_of(two) for _ in range(rng.randrange(1, 40))]
            time.sleep(rng.uniform(0, 0.02))
            one.kill()
            two.kill()
            acknowledged += lines_of(one) + lines_of(two)
        with open_log(tmp_path) as log:
            words = held(log)
            assert len(words) == len(set(words))
            assert set(acknowledged) <= set(words)
            assert log.counts().decisions == log.counts().requests
            assert list(log.orphans()) == []


def test_killed_writers_leave_what_counts_exact(tmp_path: Path, rng: random.Random) -> None:
    """However two writers are killed, contacts and budgets are those of what was stored.

    No subject ever has more contacts than the cap allows, though both writers try for the same
    subjects; and nothing that was acknowledged is missing.
    """
    acknowledged: list[str] = []
    for kill in range(KILLS):
        starts = [APART * (WRITERS * kill + writer) for writer in range(WRITERS)]
        with (
            worker("contact", tmp_path, starts[0]) as one,
            worker("contact", tmp_path, starts[1]) as two,
        ):
            acknowledged += [line_of(one) for _ in range(rng.randrange(30, 90))]
            acknowledged += [line_of(two) for _ in range(rng.randrange(1, 40))]
            time.sleep(rng.uniform(0, 0.02))
            one.kill()
            two.kill()
            acknowledged += lines_of(one) + lines_of(two)
        with open_log(tmp_path) as log:
            standings = assert_what_counts_is_what_happened(log, LISTENED)
            assert max(len(standing.contacts) for standing in standings.values()) == CAP
            reserved = [each.decision_id for each in log.reservations()]
            assert reserved == [logged.decision.decision_id for logged in log.scan()]
            assert set(acknowledged) <= set(told_of(log))


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
        assert [line_of(one), line_of(two)] == ["ready", "ready"]
        tell(one)
        tell(two)
        answers = lines_of(one) + lines_of(two)
    assert (answers.count("stored"), len(answers)) == (CAP, 2 * log_worker.RUSHES)
    with open_log(tmp_path) as log:
        (standing,) = assert_what_counts_is_what_happened(log).values()
        assert len(standing.contacts) == log.counts().decisions == CAP


def test_one_request_to_two_processes_is_one_decision(tmp_path: Path) -> None:
    """Of 200 concurrent repeats in two processes exactly one stores, and all answer with it."""
    open_log(tmp_path).close()
    with worker("repeat", tmp_path, 1_000) as one, worker("repeat", tmp_path, 2_000) as two:
        assert [line_of(one), line_of(two)] == ["ready", "ready"]
        tell(one)
        tell(two)
        answers = lines_of(one) + lines_of(two)
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
        assert [line_of(living), line_of(killed)] == ["reading", "reading"]
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
        *acknowledged, full, last = lines_of(process)
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
