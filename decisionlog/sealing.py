"""What surrounds every stored value: a version and a checksum, checked before anything is believed.

A value is one byte of codec version, the CRC-32 of that byte and the payload (four bytes,
big-endian) and the payload. That is its plain form; `encryption` seals it once more where the log
is encrypted, and opens it before it comes here.
"""

import struct
import zlib
from collections.abc import Callable
from typing import Final, TypeVar

from google.protobuf.message import DecodeError

from decisionlog.errors import DamagedRecord, InvalidRecord, RecordTooLarge
from decisionlog.tables import ID_BYTES, Table

CODEC_VERSION: Final = 1
SEALED_VERSION: Final = 2
"""First byte of a value that is encrypted."""
MAX_PAYLOAD_BYTES: Final = 4 * 1024 * 1024

_HEADER: Final = struct.Struct(">BI")
_CRC_OF_VERSION: Final = zlib.crc32(bytes([CODEC_VERSION]))

_LOCKED: Final = (
    "it is encrypted and does not open: it was changed, or moved to another key, or the key ring "
    "lacks its key"
)

_Record = TypeVar("_Record")


def seal(payload: bytes) -> bytes:
    """Put the codec's version and a checksum before a payload.

    Raises:
        RecordTooLarge: It is longer than `MAX_PAYLOAD_BYTES`.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise RecordTooLarge(len(payload), MAX_PAYLOAD_BYTES)
    return _HEADER.pack(CODEC_VERSION, zlib.crc32(payload, _CRC_OF_VERSION)) + payload


def unseal(table: Table, key: bytes, value: bytes) -> bytes:
    """Return the payload of a stored value.

    Args:
        table: Where the value was found, for the error.
        key: Its key there, for the error.
        value: What was stored.

    Raises:
        DamagedRecord: The version is unknown, the checksum does not fit, or it is encrypted and did
            not open.
    """
    if len(value) < _HEADER.size:
        raise DamagedRecord(table, key, f"only {len(value)} bytes are left")
    version, checksum = _HEADER.unpack_from(value)
    if version == SEALED_VERSION:
        raise DamagedRecord(table, key, _LOCKED)
    if version != CODEC_VERSION:
        raise DamagedRecord(table, key, f"codec version {version} is unknown")
    payload = value[_HEADER.size :]
    if zlib.crc32(payload, _CRC_OF_VERSION) != checksum:
        raise DamagedRecord(table, key, "its checksum does not fit")
    return payload


def encoded(payload_of: Callable[[_Record], bytes], record: _Record) -> bytes:
    """Run an encoder; what protobuf refuses is the record's fault.

    Raises:
        InvalidRecord: A value has no protobuf form.
    """
    try:
        return payload_of(record)
    except (TypeError, ValueError, OverflowError, struct.error) as error:
        raise InvalidRecord(str(error)) from error


def decoded(
    record_of: Callable[[bytes], _Record], table: Table, key: bytes, value: bytes
) -> _Record:
    """Run a decoder on a stored value; what it stumbles over is damage.

    Raises:
        DamagedRecord: It is not what was written.
    """
    try:
        return record_of(unseal(table, key, value))
    except (DecodeError, IndexError, ValueError) as error:
        raise DamagedRecord(table, key, str(error)) from error


def check_id(field: str, value: bytes) -> None:
    """Check that an id has its 16 bytes.

    Raises:
        InvalidRecord: It has not.
    """
    if len(value) != ID_BYTES:
        raise InvalidRecord(f"{field} has {len(value)} bytes, not {ID_BYTES}")
