"""Seals and opens stored values under a key ring: AES-256-GCM, bound to table and key of the row.

A sealed value is one byte of codec version, the key's id (8 bytes), a nonce (12 bytes), the
encrypted plain form of `sealing`, and the tag of 16 bytes. Table and key of the row are
authenticated beside it, so that a value that is moved to another row does not open.

A nonce never comes twice under one key: it is 8 random bytes, drawn anew for each sealer and
process, and a counter of 4 bytes; when the counter has run out, another 8 bytes are drawn. Two of
90,000 sealers under one key share their 8 bytes with a chance below 2^-32, the bound of NIST
SP 800-38D, section 8.
"""

import os
import struct
from collections.abc import Callable, Iterator
from typing import Final

from cryptography.exceptions import InvalidTag

from decisionlog.errors import RecordKeyMissing
from decisionlog.key_ring import KEY_ID_BYTES, KeyRing, RecordKey, RingSource, no_keys
from decisionlog.sealing import SEALED_VERSION
from decisionlog.tables import Table

NONCE_BYTES: Final = 12

_PREFIX_BYTES: Final = 8
_COUNTER: Final = struct.Struct(">I")
_COUNTS: Final = 2**32
_HEADER: Final = struct.Struct(f">B{KEY_ID_BYTES}s{NONCE_BYTES}s")
_MARK: Final = bytes([SEALED_VERSION])


class Sealer:
    """Seals under one key at a time, opens under every key of the ring.

    It seals inside write transactions only, so by one thread at a time; any thread may open.
    """

    def __init__(
        self,
        source: RingSource = no_keys,
        random_bytes: Callable[[int], bytes] = os.urandom,
        counts: int = _COUNTS,
    ) -> None:
        """Load the ring; nothing is sealed before `use`.

        Args:
            source: Asked again for a key that is not there yet.
            random_bytes: Source of the nonces' first 8 bytes.
            counts: So many nonces share them.

        Raises:
            KeyFileError: The ring's file cannot be used.
        """
        self._source = source
        self._ring = source()
        self._unknown: set[bytes] = set()
        self._sealing: RecordKey | None = None
        self._nonces = _nonces(random_bytes, counts)

    @property
    def ring(self) -> KeyRing:
        """The ring as it was last loaded."""
        return self._ring

    def use(self, key_id: bytes | None) -> None:
        """Seal under a key from now on, under none if it is None.

        Raises:
            RecordKeyMissing: The ring does not have it.
        """
        if self._sealing is not None and self._sealing.key_id == key_id:
            return
        self._sealing = None if key_id is None else self.key(key_id)

    def key(self, key_id: bytes) -> RecordKey:
        """Return a key of the ring.

        Raises:
            RecordKeyMissing: The ring does not have it.
        """
        found = self._ring.find(key_id)
        if found is None:
            self._ring = self._source()
            found = self._ring.find(key_id)
        if found is None:
            raise RecordKeyMissing(key_id)
        return found

    def seal(self, table: Table, key: bytes, value: bytes) -> bytes:
        """Return what is stored for a value."""
        sealing = self._sealing
        if sealing is None or table == Table.META:
            return value
        nonce = next(self._nonces)
        return _HEADER.pack(SEALED_VERSION, sealing.key_id, nonce) + sealing.cipher.encrypt(
            nonce, value, _place(table, key)
        )

    def seal_all(self, table: Table, rows: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return what is stored for rows, keys and values."""
        if self._sealing is None:
            return rows
        return [(key, self.seal(table, key, value)) for key, value in rows]

    def open(self, table: Table, key: bytes, stored: bytes) -> bytes:
        """Return the value of what is stored.

        What does not open is returned as it is: no decoder takes it, and each says so.
        """
        if not is_sealed(stored) or len(stored) < _HEADER.size:
            return stored
        _, key_id, nonce = _HEADER.unpack_from(stored)
        found = self._ring.find(key_id) or self._late(key_id)
        if found is None:
            return stored
        try:
            return found.cipher.decrypt(nonce, stored[_HEADER.size :], _place(table, key))
        except InvalidTag:
            return stored

    def _late(self, key_id: bytes) -> RecordKey | None:
        """Return a key that the ring may have got since; each is looked for once."""
        if key_id in self._unknown:
            return None
        try:
            return self.key(key_id)
        except RecordKeyMissing:
            self._unknown.add(key_id)
            return None


def is_sealed(stored: bytes) -> bool:
    """Tell whether a stored value is encrypted."""
    return stored[:1] == _MARK


def key_id_of(stored: bytes) -> bytes:
    """Return the id of the key that a sealed value names."""
    return stored[1 : 1 + KEY_ID_BYTES]


def _place(table: Table, key: bytes) -> bytes:
    return table.encode() + b"\0" + key


def _nonces(random_bytes: Callable[[int], bytes], counts: int) -> Iterator[bytes]:
    while True:
        process, prefix = os.getpid(), random_bytes(_PREFIX_BYTES)
        for count in range(counts):
            yield prefix + _COUNTER.pack(count)
            if os.getpid() != process:
                break  # a forked process must not go on with its parent's
