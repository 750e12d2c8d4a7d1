"""What the table `meta` holds: the schema's version, the key's fingerprint, counters."""

import struct
from typing import Final

from decisionlog.drafts import Lookup, Transaction
from decisionlog.errors import (
    DamagedRecord,
    KeyRequired,
    LogMissing,
    UnknownSchema,
    WrongKey,
)
from decisionlog.record_keys import record_keys, seal_under, sealing_key
from decisionlog.sealing import seal, unseal
from decisionlog.store import ReadTransaction, Store, WriteTransaction
from decisionlog.tables import Counter, Table

SCHEMA_VERSION: Final = 2
"""2: records may be encrypted, acts are in the audit trail. `migration` has the way from 1."""

_SCHEMA: Final = b"schema"
_FINGERPRINT: Final = b"key_fingerprint"
_EXPIRED_BEFORE: Final = b"expired_before"
_ERASED_BEFORE: Final = b"erased_before"
_LAST_ERASED_MS: Final = b"last_erased_ms"
_CREATED_AT_MS: Final = b"created_at_ms"
_POSITION: Final = b"migration_position"
_NUMBER: Final = struct.Struct(">Q")


def prepare(store: Store, fingerprint: bytes | None, created_at_ms: int) -> None:
    """Begin a log if there is none, check the one that is there.

    Args:
        store: Open for writing.
        fingerprint: Of the key in use; None skips the check, but cannot begin a log.
        created_at_ms: Unix time, noted in a new log.

    Raises:
        KeyRequired: There is no log and no key to begin one with.
        UnknownSchema: Another version of the program wrote it; nothing was changed.
        WrongKey: It was written with another key; nothing was changed.
        RecordKeyMissing: It is encrypted under a key that is not at hand; nothing was changed.
    """
    with store.write() as transaction:
        is_new = not store.has_table(Table.META, transaction)
        if is_new and fingerprint is None:
            raise KeyRequired(store.directory)
        if not is_new:
            _check(store, transaction, fingerprint)
        store.open_tables(transaction)
        _encrypt(store, transaction)
        if is_new and fingerprint is not None:
            note_schema(transaction, SCHEMA_VERSION)
            transaction.put(Table.META, _FINGERPRINT, seal(fingerprint))
            transaction.put(Table.META, _CREATED_AT_MS, _number(created_at_ms))


def check(store: Store, fingerprint: bytes | None) -> None:
    """Open and check a log that is only read.

    Raises:
        LogMissing: There is none.
        UnknownSchema: Another version of the program wrote it.
        WrongKey: It was written with another key.
        RecordKeyMissing: It is encrypted under a key that is not at hand.
    """
    if not store.has_table(Table.META):
        raise LogMissing(store.directory)
    with store.read() as transaction:
        _check(store, transaction, fingerprint)
    store.open_tables()


def schema_version(transaction: Lookup) -> int | None:
    """Return the schema that a log has, None if it says nothing of one."""
    return _read_number(transaction, _SCHEMA)


def note_schema(transaction: Transaction, version: int) -> None:
    """Note that a log has another schema from now on."""
    transaction.put(Table.META, _SCHEMA, _number(version))


def migration_position(transaction: Lookup) -> bytes:
    """Return how far a migration has come; empty if it has not begun."""
    return _read(transaction, _POSITION) or b""


def note_position(transaction: Transaction, position: bytes) -> None:
    """Note how far a migration has come."""
    transaction.put(Table.META, _POSITION, seal(position))


def created_at_ms(transaction: ReadTransaction) -> int:
    """Return when the log was begun, Unix time."""
    return _read_number(transaction, _CREATED_AT_MS) or 0


def fingerprint(transaction: ReadTransaction) -> bytes:
    """Return the fingerprint of the key that the log was begun with."""
    return _read(transaction, _FINGERPRINT) or b""


def expired_before(transaction: Lookup) -> bytes:
    """Return the first decision id that retention has not removed; empty if it never did."""
    return _read(transaction, _EXPIRED_BEFORE) or b""


def note_expired(transaction: Transaction, before: bytes) -> None:
    """Note that retention removed the decisions before an id."""
    if before > expired_before(transaction):
        transaction.put(Table.META, _EXPIRED_BEFORE, seal(before))


def last_erased_ms(transaction: Lookup) -> int:
    """Return the latest time of an erasure, Unix time; 0 if there was none."""
    return _read_number(transaction, _LAST_ERASED_MS) or 0


def erased_before(transaction: Lookup) -> bytes:
    """Return the first id that was yet to come, by the clock, when an erasure was last asked for.

    A decision below may have been in the making, and its subject erased meanwhile. Empty if nobody
    was ever erased.
    """
    return _read(transaction, _ERASED_BEFORE) or b""


def note_erased(transaction: Transaction, at_ms: int, before: bytes | None = None) -> None:
    """Note when an erasure was asked for.

    Args:
        transaction: Where to write.
        at_ms: Time of its tombstones, Unix time.
        before: See `erased_before`; None where it is done again, long after.
    """
    latest_ms = max(at_ms, last_erased_ms(transaction))
    transaction.put(Table.META, _LAST_ERASED_MS, _number(latest_ms))
    if before is not None:
        transaction.put(Table.META, _ERASED_BEFORE, seal(before))


def count(transaction: ReadTransaction, counter: Counter) -> int:
    """Return the value of a counter."""
    return _read_number(transaction, counter.encode()) or 0


def increase(transaction: Transaction, counter: Counter, count: int) -> None:
    """Add to a counter."""
    key = counter.encode()
    transaction.put(Table.META, key, _number((_read_number(transaction, key) or 0) + count))


def _encrypt(store: Store, transaction: WriteTransaction) -> None:
    """Let the newest key of the ring seal from now on; what was stored before stays as it is."""
    newest = store.sealer.ring.newest
    if newest is not None and newest.key_id != sealing_key(transaction):
        seal_under(transaction, newest.key_id)


def _check(store: Store, transaction: ReadTransaction, fingerprint: bytes | None) -> None:
    directory = store.directory
    version = schema_version(transaction)
    if version != SCHEMA_VERSION:
        raise UnknownSchema(directory, version, SCHEMA_VERSION)
    expected = _read(transaction, _FINGERPRINT)
    if fingerprint is not None and fingerprint != expected:
        raise WrongKey(directory, fingerprint, expected or b"")
    for key_id in record_keys(transaction):
        store.sealer.key(key_id)


def _read(transaction: Lookup, key: bytes) -> bytes | None:
    value = transaction.get(Table.META, key)
    return None if value is None else unseal(Table.META, key, value)


def _read_number(transaction: Lookup, key: bytes) -> int | None:
    payload = _read(transaction, key)
    if payload is None:
        return None
    if len(payload) != _NUMBER.size:
        raise DamagedRecord(Table.META, key, "it is not a number")
    number: int = _NUMBER.unpack(payload)[0]
    return number


def _number(value: int) -> bytes:
    return seal(_NUMBER.pack(value))
