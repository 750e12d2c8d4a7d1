"""SIGKILL of those who keep an encrypted log, while others write to it: new keys, and retention."""

import random
import time
from pathlib import Path

import pytest

from decisionlog import DecisionLog
from decisionlog.checking import Finding, check
from decisionlog.key_ring import load_ring
from decisionlog.rekeying import rekey
from decisionlog.schema import expired_before
from replay.ledger import ledger
from tests.decisionlog.samples import KEYS
from tests.shop import shop
from tests.simulation.log_worker import (
    MAP_SIZE_BYTES,
    delivery,
    number_of,
    open_sealed,
    proposal,
    reward,
    ring_of,
)
from tests.simulation.workers import worker

KILLS_LONG = 500
KEYS_MANY = 40


@pytest.mark.parametrize("kills", [10, pytest.param(KILLS_LONG, marks=pytest.mark.soak)])
def test_killed_keepers_spoil_nothing(tmp_path: Path, rng: random.Random, kills: int) -> None:
    """However it is killed, all that was acknowledged and has not expired is there once, and sound.

    One process adds key after key, seals all records anew under each, and lets old decisions
    expire; another one writes. The ledger balances after every kill, and in the end no key is
    needed but the newest.
    """
    directory, place = tmp_path / "data", 0
    open_sealed(directory).close()
    acknowledged: set[str] = set()
    for _ in range(kills):
        acknowledged |= killed(directory, place, rng)
        assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.glob(".*"))
        with open_sealed(directory) as log:
            acknowledged = assert_kept_once(log, acknowledged)
        place = max((number_of(word) for word in acknowledged), default=place)
        if len(load_ring(ring_of(directory), data_directory=directory).keys) > KEYS_MANY:
            forget_old_keys(directory)
    forget_old_keys(directory)
    newest = load_ring(ring_of(directory), data_directory=directory)
    with DecisionLog.open(
        directory, keys=KEYS, map_size_bytes=MAP_SIZE_BYTES, key_ring=lambda: newest
    ) as log:
        assert_kept_once(log, acknowledged)


def killed(directory: Path, place: int, rng: random.Random) -> set[str]:
    """Kill a writer and a keeper at moments of the seed's choice; return what was acknowledged."""
    with worker("write", directory, place) as writer, worker("keep", directory) as keeper:
        said = [writer.line() for _ in range(rng.randrange(1, 40))]
        kept = [keeper.line() for _ in range(rng.randrange(0, 4))]
        assert all(said + kept), "a process has ended by itself"
        time.sleep(rng.uniform(0, 0.02))
        keeper.kill()
        writer.kill()
        return {*said, *writer.lines()}


def assert_kept_once(log: DecisionLog, acknowledged: set[str]) -> set[str]:
    """Hold that a log is sound, and has all that was acknowledged and is not too old, once.

    Returns:
        What was acknowledged and has not expired.
    """
    with log.store.read() as transaction:
        expired = int.from_bytes(expired_before(transaction)[:6], "big")
    left = {word for word in acknowledged if number_of(word) >= expired}
    words = held(log)
    assert left <= set(words)
    assert len(words) == len(set(words))
    findings: list[Finding] = []
    check(log.store, findings.append)
    assert findings == []
    assert ledger(log, shop().reward).balanced
    return left


def held(log: DecisionLog) -> list[str]:
    """Return all that a log holds, in the workers' words; every record is checked on the way."""
    words = []
    for logged in log.scan(slice_size=7):
        number = logged.decision.decided_at_ms
        assert logged.decision == proposal(number).decision
        assert set(logged.deliveries) <= {delivery(number)}
        assert set(logged.rewards) <= {reward(number)}
        words += [f"decision {number}"]
        words += [f"delivery {number}" for _ in logged.deliveries]
        words += [f"reward {number}" for _ in logged.rewards]
    return words


def forget_old_keys(directory: Path) -> None:
    """Seal all under the newest key, and leave it alone in the ring, as an operator would."""
    with open_sealed(directory) as log:
        done = rekey(log.store)
    ring = ring_of(directory)
    newest = load_ring(ring, data_directory=directory).newest
    assert newest is not None
    assert done.needed == (newest.key_id,)
    ring.write_text(ring.read_text().splitlines()[-1] + "\n")
