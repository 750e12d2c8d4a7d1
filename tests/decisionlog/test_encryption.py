"""Records at rest: sealed under a ring of keys, bound to their rows, and opened again."""

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisionlog import DamagedRecord, DecisionLog, KeyFileError, Proposal, RecordKeyMissing
from decisionlog.encryption import Sealer, is_sealed, key_id_of
from decisionlog.key_ring import KeyRing, add_key, load_ring, record_key, ring_file
from decisionlog.sealing import unseal
from decisionlog.tables import Table
from tests.decisionlog.samples import DECISION, DELIVERY, KEYS, MAP_SIZE_BYTES, REWARD

OLD, NEW = record_key(b"o" * 32), record_key(b"n" * 32)
SEALED = tuple(table for table in Table if table is not Table.META)


def sealer_of(*ring: object, **options: object) -> Sealer:
    """A sealer that seals under the last of some keys."""
    sealer = Sealer(lambda: KeyRing(ring), **options)  # type: ignore[arg-type]
    sealer.use(KeyRing(ring).newest.key_id)  # type: ignore[arg-type, union-attr]
    return sealer


def open_log(directory: Path, *ring: object, read_only: bool = False) -> DecisionLog:
    """Open a log with some keys."""
    return DecisionLog.open(
        directory,
        keys=KEYS,
        read_only=read_only,
        map_size_bytes=MAP_SIZE_BYTES,
        key_ring=lambda: KeyRing(ring),  # type: ignore[arg-type]
    )


def fill(log: DecisionLog) -> None:
    """Store a decision, its request and two reports."""
    log.record([Proposal(DECISION, KEYS.request_key("r"))])
    log.report_deliveries([DELIVERY])
    log.report_rewards([REWARD], frozenset({REWARD.name}))


def stored(log: DecisionLog) -> list[bytes]:
    """All that lies on disk, but the log's notes about itself."""
    found = []
    with log.store.read() as transaction:
        for table in SEALED:
            cursor = transaction.stored_cursor(table)
            there = cursor.set_range(b"")
            while there:
                found.append(cursor.value())
                there = cursor.next()
    return found


@given(st.sampled_from(SEALED), st.binary(max_size=40), st.binary(max_size=300))
def test_what_is_sealed_opens_as_it_was(table: Table, key: bytes, value: bytes) -> None:
    """Any value of any row, under the key that sealed it, also when another one seals now."""
    sealed = sealer_of(OLD).seal(table, key, value)
    assert is_sealed(sealed)
    assert key_id_of(sealed) == OLD.key_id
    assert value not in sealed or len(value) < 4
    assert sealer_of(OLD, NEW).open(table, key, sealed) == value


@given(st.data())
def test_a_changed_or_moved_value_does_not_open(data: st.DataObject) -> None:
    """Neither with one bit flipped, nor under another key, nor in another table."""
    sealer = sealer_of(OLD)
    sealed = bytearray(sealer.seal(Table.REWARDS, b"k" * 32, b"\x01 what it was"))
    places = {"bit": (Table.REWARDS, b"k" * 32), "key": (Table.REWARDS, b"k" * 31 + b"j")}
    places["table"] = (Table.DELIVERIES, b"k" * 32)
    how = data.draw(st.sampled_from(sorted(places)))
    if how == "bit":
        bit = data.draw(st.integers(8, 8 * len(sealed) - 1))  # the first byte tells what it is
        sealed[bit // 8] ^= 1 << bit % 8
    table, key = places[how]
    found = sealer.open(table, key, bytes(sealed))
    assert found == sealed
    with pytest.raises(DamagedRecord, match="encrypted and does not open"):
        unseal(table, key, found)


def test_a_nonce_never_comes_twice() -> None:
    """Neither when the counter has run out, nor in another sealer of the same key."""
    sealers = [sealer_of(OLD, counts=3) for _ in range(4)]
    sealed = [each.seal(Table.AUDIT, b"k", b"v") for each in sealers for _ in range(10)]
    assert len({each[9:21] for each in sealed}) == len(sealed)


def test_the_nonces_of_a_sealer_count_up() -> None:
    """Eight random bytes and a counter; eight others when it has run out."""
    drawn = iter([b"a" * 8, b"b" * 8])
    sealer = sealer_of(OLD, counts=2, random_bytes=lambda _: next(drawn))
    nonces = [sealer.seal(Table.AUDIT, b"k", b"v")[9:21] for _ in range(4)]
    assert nonces == [
        each * 8 + count.to_bytes(4, "big") for each in (b"a", b"b") for count in (0, 1)
    ]
    assert all(one < other for one, other in pairwise(nonces))


def test_a_forked_process_draws_nonces_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that goes on with another's sealer shares no nonce with it."""
    sealer = sealer_of(OLD)
    parent = sealer.seal(Table.AUDIT, b"k", b"v")[9:21]
    monkeypatch.setattr(os, "getpid", lambda: -1)
    child = sealer.seal(Table.AUDIT, b"k", b"v")[9:21]
    assert parent[:8] != child[:8]


def test_every_row_is_sealed_and_every_reader_is_unaware(tmp_path: Path) -> None:
    """On disk nothing is plain but the notes of the log; what is read is what was stored."""
    with open_log(tmp_path, OLD) as log:
        fill(log)
        assert {key_id_of(each) for each in stored(log) if is_sealed(each)} == {OLD.key_id}
        assert all(is_sealed(each) for each in stored(log))
    with open_log(tmp_path, OLD, read_only=True) as log:
        (logged,) = log.scan()
        assert (logged.decision, logged.deliveries, logged.rewards) == (
            DECISION,
            (DELIVERY,),
            (REWARD,),
        )
        assert log.find_request(KEYS.request_key("r")) == DECISION
    content = (tmp_path / "log" / "data.mdb").read_bytes()
    assert DECISION.policy_version.encode() not in content
    assert REWARD.name.encode() not in content


def test_repeats_are_recognised_in_an_encrypted_log(tmp_path: Path) -> None:
    """The same decision and reports again change nothing, though they would be sealed otherwise."""
    with open_log(tmp_path, OLD) as log:
        fill(log)
        before = stored(log)
        fill(log)
        assert stored(log) == before
        assert log.counts().rewards_repeated == log.counts().deliveries_repeated == 1


def test_a_plain_log_goes_on_encrypted(tmp_path: Path) -> None:
    """What was stored before stays readable, what comes is sealed, in one log."""
    with open_log(tmp_path) as log:
        log.record([Proposal(DECISION)])
    with open_log(tmp_path, OLD) as log:
        log.report_rewards([REWARD])
        assert [is_sealed(each) for each in stored(log)] == [False, True]
        (logged,) = log.scan()
    assert (logged.decision, logged.rewards) == (DECISION, (REWARD,))


@pytest.mark.parametrize("ring", [(), (NEW,)])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_missing_key_is_told_at_opening(
    tmp_path: Path,
    ring: tuple[object, ...],
    read_only: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Without the log's key, or with another one, it is not opened, and nothing is changed."""
    with open_log(tmp_path, OLD) as log:
        fill(log)
    before = (tmp_path / "log" / "data.mdb").read_bytes()
    with pytest.raises(RecordKeyMissing) as caught:
        open_log(tmp_path, *ring, read_only=read_only)
    assert caught.value.key_id == OLD.key_id
    assert (tmp_path / "log" / "data.mdb").read_bytes() == before


def test_a_key_that_came_later_is_looked_for(tmp_path: Path) -> None:
    """A reader that began with one key opens what another process seals under the next."""
    file, data = tmp_path / "ring", tmp_path / "data"
    first = add_key(file, data_directory=data)
    sealer = Sealer(ring_file(file, data_directory=data))
    second = add_key(file, data_directory=data)
    assert [key.key_id for key in sealer.ring] == [first.key_id]
    later = Sealer(ring_file(file, data_directory=data))
    later.use(second.key_id)
    assert sealer.open(Table.AUDIT, b"k", later.seal(Table.AUDIT, b"k", b"v")) == b"v"


def test_a_ring_keeps_its_keys_in_order(tmp_path: Path) -> None:
    """A new key comes last and is the newest; the file stays closed to others."""
    file, data = tmp_path / "ring", tmp_path / "data"
    ids = [add_key(file, data_directory=data).key_id for _ in range(3)]
    ring = load_ring(file, data_directory=data)
    assert [key.key_id for key in ring] == ids
    assert ring.newest is not None
    assert ring.newest.key_id == ids[-1]
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["ring"]


def _open_to_others(file: Path) -> None:
    file.chmod(0o640)


def _empty(file: Path) -> None:
    file.write_text("")


def _short(file: Path) -> None:
    file.write_text("ab12\n")


@pytest.mark.parametrize("spoil", [_open_to_others, _empty, _short])
def test_a_ring_that_cannot_be_trusted_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    """Open to others, empty or malformed: the error names the file and tells no secret."""
    file, data = tmp_path / "ring", tmp_path / "data"
    add_key(file, data_directory=data)
    secret = file.read_text().strip()
    spoil(file)
    with pytest.raises(KeyFileError) as caught:
        load_ring(file, data_directory=data)
    assert str(file) in str(caught.value)
    assert secret not in str(caught.value)


def test_a_ring_inside_the_data_is_refused(tmp_path: Path) -> None:
    """A copy of the data would carry its keys along."""
    with pytest.raises(KeyFileError, match="outside"):
        add_key(tmp_path / "data" / "ring", data_directory=tmp_path / "data")


def test_keys_show_no_secret() -> None:
    """Neither a key nor a ring tells more of itself than ids."""
    shown = repr(KeyRing((OLD,)))
    assert OLD.key_id.hex() in shown
    assert "cipher" not in shown
