"""A process that uses a log until it is told to stop, killed, or out of room.

It says a line for each thing that was acknowledged; `workers` starts it, reads it and kills it.
"""

import os
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Barrier

from decisionlog import (
    ContactRefused,
    Decision,
    DecisionLog,
    Delivery,
    LogFull,
    LogUnavailable,
    Proposal,
    Reward,
    Spent,
    Standing,
    erasure,
    retention,
    ring_file,
)
from decisionlog.ids import time_ms
from decisionlog.key_ring import add_key
from decisionlog.rekeying import rekey
from decisionlog.store import Store
from decisionlog.tables import Table
from tests.decisionlog.samples import (
    CONTACT,
    DECISION,
    DELIVERY,
    KEYS,
    REWARD,
    decision_id,
)
from tests.simulation import deciding

MAP_SIZE_BYTES = 64 * 2**20
REPEATS = 500
RUSHES = 64
CROWD = 200
"""Readers at once: more than LMDB has room for in the first pages of their table."""
ROOM_BYTES = 120_000
CAP = 3
CONTACTS_TRIED = 7
"""How many contacts are tried for a subject that may be erased."""
KEPT = 50
"""Numbers up to the newest whose decisions never expire: the writer is still at them."""
ERASED_TOGETHER = 20
"""Subjects that are erased in one pass."""


def say(line: str) -> None:
    """Say a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def open_log(directory: Path) -> DecisionLog:
    """Open the log."""
    return DecisionLog.open(directory, keys=KEYS, map_size_bytes=MAP_SIZE_BYTES)


def decision(number: int) -> Decision:
    """Return the decision of a number."""
    return replace(DECISION, decision_id=decision_id(number))


def delivery(number: int) -> Delivery:
    """Return the delivery of a number."""
    return replace(DELIVERY, decision_id=decision_id(number))


def reward(number: int) -> Reward:
    """Return the reward of a number."""
    return replace(REWARD, decision_id=decision_id(number), value=float(number))


def decide(directory: Path, first: int) -> None:
    """Decide and report for ever, as the service does; say what was acknowledged."""
    with open_log(directory) as log:
        for line in deciding.decide(log, directory, first):
            say(line)


def is_below_cap(standing: Standing, _: Spent) -> bool:
    """Allow a subject `CAP` contacts."""
    return len(standing.contacts) < CAP


def proposal(number: int) -> Proposal:
    """Return a capped contact of one of many subjects."""
    subject = (number // CONTACTS_TRIED).to_bytes(16, "big")
    return capped(replace(decision(number), subject=subject))


def capped(proposed: Decision) -> Proposal:
    """Return a decision with a contact under the cap."""
    contact = replace(CONTACT, decision_id=proposed.decision_id)
    return Proposal(proposed, contact=contact, admit=is_below_cap)


def erase(directory: Path, first: int) -> None:
    """Erase some subjects in one pass, then the next; say the pseudonyms of those that are gone."""
    with open_log(directory) as log:
        for start in count(first, ERASED_TOGETHER):
            subjects = [(start + number).to_bytes(16, "big") for number in range(ERASED_TOGETHER)]
            erasure.erase(log.store, subjects, 1)
            for subject in subjects:
                say(subject.hex())


def rush(directory: Path, first: int) -> None:
    """Try many contacts of one subject at once, when told to; say which were stored."""
    with open_log(directory) as log, ThreadPoolExecutor(RUSHES) as pool:
        say("ready")
        sys.stdin.readline()
        tried = [capped(decision(first + number)) for number in range(RUSHES)]
        for (answer,) in pool.map(lambda each: log.record([each]), tried):
            assert isinstance(answer, Decision | ContactRefused)
            say("stored" if isinstance(answer, Decision) else "refused")


def repeat(directory: Path, first: int) -> None:
    """Answer one request many times at once, when told to; say what was stored and answered."""
    request_key = KEYS.request_key("the one")
    with open_log(directory) as log, ThreadPoolExecutor(REPEATS) as pool:
        say("ready")
        sys.stdin.readline()
        offers = [Proposal(decision(first + number), request_key) for number in range(REPEATS)]
        answers = pool.map(log.record, [[offer] for offer in offers])
        for offer, (answer,) in zip(offers, answers, strict=True):
            assert isinstance(answer, Decision)
            say(f"{'stored' if answer is offer.decision else 'repeat'} {answer.decided_at_ms}")


def ring_of(directory: Path) -> Path:
    """Return the key ring of a log that is encrypted."""
    return directory.with_name(f"{directory.name}.ring")


def open_sealed(directory: Path) -> DecisionLog:
    """Open a log that is encrypted as soon as there is a key."""
    ring = ring_file(ring_of(directory), data_directory=directory)
    return DecisionLog.open(directory, keys=KEYS, map_size_bytes=MAP_SIZE_BYTES, key_ring=ring)


def number_of(word: str) -> int:
    """Return the number of what was acknowledged."""
    return int(word.split()[1])


def write(directory: Path, first: int) -> None:
    """Try contacts and report on those that may be made; say what was acknowledged."""
    with open_sealed(directory) as log:
        for number in count(first):
            (answer,) = log.record([proposal(number)])
            if isinstance(answer, ContactRefused):
                continue
            assert answer == proposal(number).decision
            say(f"decision {number}")
            log.report_deliveries([delivery(number)])
            say(f"delivery {number}")
            log.report_rewards([reward(number)])
            say(f"reward {number}")


def keep(directory: Path, _: int) -> None:
    """Seal all under one new key after the other, and let the oldest expire; say so each time."""
    while True:
        add_key(ring_of(directory), data_directory=directory)
        with open_sealed(directory) as log:
            rekey(log.store)
            say("sealed")
            expire(log.store)
            say("expired")


def expire(store: Store) -> None:
    """Let old decisions go, and what refers to them."""
    with store.read() as transaction:
        cursor = transaction.cursor(Table.DECISIONS)
        newest = time_ms(cursor.key()) if cursor.last() else 0
    before = decision_id(max(0, newest - KEPT))
    while retention.expire(store, before, rows=7):
        pass
    sweep = retention.Sweep(before, before)
    for step in (retention.sweep_requests, retention.sweep_standings):
        position: bytes | None = b""
        while position is not None:
            position = step(store, position, sweep)


def read(directory: Path, _: int) -> None:
    """Stand in the middle of a read transaction until killed."""
    with Store(directory, map_size_bytes=MAP_SIZE_BYTES) as store, store.read():
        say("reading")
        sys.stdin.readline()


def fill(directory: Path, first: int) -> None:
    """Write until files may not grow any more, then go on when they may."""
    with open_log(directory) as log:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, hard))
        number = first
        try:
            for number in count(first):
                log.record([Proposal(decision(number))])
                say(f"decision {number}")
        except (LogFull, LogUnavailable) as error:
            say(f"full {type(error).__name__} {number}")
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        log.record([Proposal(decision(number))])
        say(f"decision {number}")


def crowd(directory: Path, first: int) -> None:
    """Write until the disk is full, to its last byte; then have many read at once."""
    with open_log(directory) as log, ThreadPoolExecutor(CROWD) as pool:
        with suppress(LogFull):
            for number in count(first):
                log.record([Proposal(decision(number))])
        with suppress(OSError), (directory / "ballast").open("wb", buffering=0) as ballast:
            while ballast.write(bytes(4096)):
                pass
        together = Barrier(CROWD)

        def read(_: int) -> int:
            with log.store.read() as transaction:
                together.wait()
                return transaction.count(Table.DECISIONS)

        say(f"read {min(pool.map(read, range(CROWD)))}")


ACTS: dict[str, Callable[[Path, int], None]] = {
    "decide": decide,
    "erase": erase,
    "rush": rush,
    "repeat": repeat,
    "write": write,
    "keep": keep,
    "read": read,
    "fill": fill,
    "crowd": crowd,
}


def act(name: str, directory: Path, first: int, told: Connection, said: Connection) -> None:
    """Do an act in a process of its own, with pipes for input and output."""
    sys.stdin, sys.stdout = os.fdopen(told.fileno()), os.fdopen(said.fileno(), "w")
    ACTS[name](directory, first)
