"""The key ring: AES-256 keys of the log's records, in one file, the newest last."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from secrets import token_bytes
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from decisionlog import key_files
from decisionlog.key_files import SECRET_BYTES
from decisionlog.keys import subkey

KEY_ID_BYTES: Final = 8


@dataclass(frozen=True, slots=True, repr=False)
class RecordKey:
    """A key that seals and opens records."""

    key_id: bytes
    """8 bytes that name the key without telling it; every record that it sealed carries them."""
    cipher: AESGCM
    """AES-256-GCM, NIST SP 800-38D."""

    def __repr__(self) -> str:
        return f"RecordKey({self.key_id.hex()})"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys that records may be sealed under; the last one is the newest."""

    keys: tuple[RecordKey, ...] = ()
    _by_id: dict[bytes, RecordKey] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {key.key_id: key for key in self.keys})

    def __iter__(self) -> Iterator[RecordKey]:
        return iter(self.keys)

    @property
    def newest(self) -> RecordKey | None:
        """The key that seals from now on; None if there is none."""
        return self.keys[-1] if self.keys else None

    def find(self, key_id: bytes) -> RecordKey | None:
        """Return the key with an id, None if it is not here."""
        return self._by_id.get(key_id)


RingSource = Callable[[], KeyRing]
"""Gives the key ring as it is now: a file may have got another key since."""


def no_keys() -> KeyRing:
    """Return the ring of a log that is not encrypted."""
    return KeyRing()


def ring_file(path: Path, *, data_directory: Path) -> RingSource:
    """Return the source of a ring in a file that need not be there yet; it can be pickled."""
    return partial(_ring_if_there, path, data_directory)


def load_ring(path: Path, *, data_directory: Path) -> KeyRing:
    """Read a key ring.

    Args:
        path: A file of 64 hexadecimal digits a line that only its owner can read, newest last.
        data_directory: Where the log lies; the ring must not.

    Raises:
        KeyFileError: It is missing, malformed, inside the data directory, or open to others.
    """
    key_files.check_outside(path, data_directory)
    secrets = dict.fromkeys(key_files.read_secrets(path))
    if not secrets:
        raise key_files.malformed(path)
    return KeyRing(tuple(record_key(secret) for secret in secrets))


def add_key(
    path: Path, *, data_directory: Path, random_bytes: Callable[[int], bytes] = token_bytes
) -> RecordKey:
    """Add a new key to a ring, on disk when this returns; make the ring if there is none.

    Raises:
        KeyFileError: It cannot be read or written, or lies inside the data directory.
    """
    key_files.check_outside(path, data_directory)
    secret = random_bytes(SECRET_BYTES)
    key_files.append(path, secret)
    return record_key(secret)


def record_key(secret: bytes) -> RecordKey:
    """Return the key of a secret, 32 bytes.

    Key and id are subkeys of it, so that the id tells nothing of the key.
    """
    cipher = AESGCM(subkey(secret, "records", 32))
    return RecordKey(subkey(secret, "record key id", KEY_ID_BYTES), cipher)


def _ring_if_there(path: Path, data_directory: Path) -> KeyRing:
    return load_ring(path, data_directory=data_directory) if path.exists() else KeyRing()
