"""Sealing a log anew: everything, while others write, and again after a stop."""

from dataclasses import replace
from pathlib import Path

import pytest

from decisionlog import DecisionLog, NoRecordKey, Proposal, RecordKeyMissing
from decisionlog.encryption import is_sealed, key_id_of
from decisionlog.key_ring import KeyRing, RecordKey
from decisionlog.record_keys import record_keys, seal_under
from decisionlog.rekeying import rekey, rows_to_read
from decisionlog.tables import Table
from tests.decisionlog.samples import DECISION, KEYS, MAP_SIZE_BYTES
from tests.decisionlog.test_encryption import NEW, OLD, fill, stored

COUNT = 300


class Ring:
    """A file of keys, as processes see it: they ask for it anew when they miss a key."""

    def __init__(self, *keys: RecordKey) -> None:
        self.keys = keys

    def __call__(self) -> KeyRing:
        """The keys as they are now."""
        return KeyRing(self.keys)


def open_log(directory: Path, ring: Ring, *, read_only: bool = False) -> DecisionLog:
    """Open a log with a ring."""
    return DecisionLog.open(
        directory, keys=KEYS, read_only=read_only, map_size_bytes=MAP_SIZE_BYTES, key_ring=ring
    )


def fill_many(log: DecisionLog) -> None:
    """Store more than one transaction's worth."""
    fill(log)
    log.record([Proposal(replace(DECISION, decision_id=bytes([9, *bytes(13), *divmod(each, 256)])))
                for each in range(COUNT)])  # fmt: skip


def keys_of(log: DecisionLog) -> set[bytes]:
    """The ids of the keys that rows are sealed under; empty ones for rows in plain form."""
    return {key_id_of(each) if is_sealed(each) else b"" for each in stored(log)}


@pytest.mark.parametrize("before", [(), (OLD,)])
def test_all_records_are_sealed_under_the_newest_key(
    tmp_path: Path, before: tuple[RecordKey, ...]
) -> None:
    """Plain ones and those of older keys; all is read as before, without the older keys."""
    with open_log(tmp_path, Ring(*before)) as log:
        fill_many(log)
        found = list(log.scan())
    with open_log(tmp_path, Ring(*before, NEW)) as log:
        rows = rows_to_read(log.store)
        seen: list[int] = []
        done = rekey(log.store, seen.append)
        assert (done.rewritten, done.rows, sum(seen), done.unreadable) == (rows, rows, rows, 0)
        assert done.needed == (NEW.key_id,)
        assert keys_of(log) == {NEW.key_id}
    with open_log(tmp_path, Ring(NEW), read_only=True) as log:
        assert list(log.scan()) == found


def test_the_old_key_is_needed_until_then(tmp_path: Path) -> None:
    """A log that is only begun to be sealed anew is not opened without the old key."""
    with open_log(tmp_path, Ring(OLD)) as log:
        fill(log)
    open_log(tmp_path, Ring(OLD, NEW)).close()
    with pytest.raises(RecordKeyMissing):
        open_log(tmp_path, Ring(NEW))


def test_a_stopped_pass_goes_on(tmp_path: Path) -> None:
    """What was sealed anew before the stop is not sealed again, and the end is the same."""

    class StoppedError(Exception):
        pass

    def stop(_: int) -> None:
        raise StoppedError

    with open_log(tmp_path, Ring(OLD)) as log:
        fill_many(log)
    with open_log(tmp_path, Ring(OLD, NEW)) as log:
        with pytest.raises(StoppedError):
            rekey(log.store, stop)
        assert keys_of(log) == {OLD.key_id, NEW.key_id}
        assert len(list(log.scan())) == COUNT + 1
        done = rekey(log.store)
        assert 0 < done.rewritten < done.rows
        assert keys_of(log) == {NEW.key_id}


def test_another_process_takes_the_new_key_up_at_once(tmp_path: Path) -> None:
    """A writer that began with the old key seals under the new one from the pass's first moment."""
    ring = Ring(OLD)
    with open_log(tmp_path, ring) as log:
        fill_many(log)
        # The environment cannot be open twice in one process: the pass runs over the same store,
        # and the log says what the other process said.
        ring.keys = (OLD, NEW)
        with log.store.write() as transaction:
            seal_under(transaction, NEW.key_id)
        log.record([Proposal(replace(DECISION, decision_id=b"\xff" * 16))])
        with log.store.read() as transaction:
            value = transaction.stored(Table.DECISIONS, b"\xff" * 16)
        assert value is not None
        assert key_id_of(value) == NEW.key_id
        assert rekey(log.store).needed == (NEW.key_id,)


def test_a_damaged_record_keeps_its_key(tmp_path: Path) -> None:
    """What does not open stays as it is, is counted, and no key is called unneeded."""
    with open_log(tmp_path, Ring(OLD)) as log:
        fill(log)
    with open_log(tmp_path, Ring(OLD, NEW)) as log:
        with log.store.read() as transaction:
            value = transaction.stored(Table.DECISIONS, DECISION.decision_id)
        assert value is not None
        spoiled = value[:-1] + bytes([value[-1] ^ 1])
        log.store.sealer.use(None)
        with log.store._environment.begin(write=True) as raw:
            raw.put(DECISION.decision_id, spoiled, db=log.store.tables[Table.DECISIONS])
        done = rekey(log.store)
        assert (done.unreadable, done.needed) == (1, (OLD.key_id, NEW.key_id))
        with log.store.read() as transaction:
            assert transaction.stored(Table.DECISIONS, DECISION.decision_id) == spoiled
            assert record_keys(transaction) == (OLD.key_id, NEW.key_id)


def test_a_log_without_keys_cannot_be_sealed(tmp_path: Path) -> None:
    """The error says how a key is made."""
    with open_log(tmp_path, Ring()) as log, pytest.raises(NoRecordKey, match="--new-key"):
        rekey(log.store)
