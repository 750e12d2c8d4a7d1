"""Tombstones: which subjects were erased and up to which decision, in the log and in a file beside.

The file outlives the log that it lies beside: a restore of an older backup reads it, and erases
again whom the backup still knows. It holds pseudonyms only, which tell nothing without the key.
"""

import fcntl
import json
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from decisionlog.directories import sync
from decisionlog.errors import DamagedRecord, TombstoneFileError
from decisionlog.owners import give_as
from decisionlog.sealing import seal, unseal
from decisionlog.tables import ID_BYTES, Table

TOMBSTONE_FILE: Final = "tombstones.jsonl"
"""Name of the file in a data directory: one JSON object a line."""

_FILE_MODE: Final = 0o600
_FORM: Final = struct.Struct(f">{ID_BYTES}sQ?")


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A subject was erased."""

    subject: bytes
    """Its pseudonym, 16 bytes."""
    erased_at_ms: int
    """Unix time at which it was asked for, and after that of every erasure before."""
    through: bytes
    """The first decision id, 16 bytes, that the erasure leaves: from there it starts afresh."""
    is_complete: bool = False
    """Whether everything before is gone; if not, the erasure was stopped half-way."""

    def covers(self, subject: bytes, decision_id: bytes) -> bool:
        """Tell whether a subject's decision is erased by this."""
        return subject == self.subject and decision_id < self.through


def encode_tombstone(tombstone: Tombstone) -> bytes:
    """Return the stored form of a tombstone; its subject is the key."""
    return seal(_FORM.pack(tombstone.through, tombstone.erased_at_ms, tombstone.is_complete))


def decode_tombstone(key: bytes, value: bytes) -> Tombstone:
    """Return the tombstone of a subject.

    Raises:
        DamagedRecord: It is not what was written.
    """
    payload = unseal(Table.TOMBSTONES, key, value)
    if len(payload) != _FORM.size:
        raise DamagedRecord(Table.TOMBSTONES, key, f"{len(payload)} bytes are no tombstone")
    through, erased_at_ms, is_complete = _FORM.unpack(payload)
    return Tombstone(key, erased_at_ms, through, is_complete)


def append_to_file(path: Path, tombstones: Iterable[Tombstone], fingerprint: bytes) -> None:
    """Write tombstones behind those of a file, on disk when this returns.

    Args:
        path: The file; made if there is none.
        tombstones: The new ones.
        fingerprint: Of the key that made the pseudonyms.
    """
    lines = "".join(_line(tombstone, fingerprint) for tombstone in tombstones)
    is_new = not path.exists()
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, _FILE_MODE), "r+b") as file:
        give_as(file.fileno(), path.parent)
        fcntl.flock(file, fcntl.LOCK_EX)
        # What a crash cut short was never acknowledged; a line behind it would be lost with it.
        file.truncate(len(_whole_lines(file.read())))
        file.seek(0, os.SEEK_END)
        file.write(lines.encode())
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync(path.parent)


def read_file(path: Path, fingerprint: bytes) -> list[Tombstone]:
    """Return the tombstones of a file, the last one of each subject.

    Args:
        path: The file; none is a file without tombstones.
        fingerprint: Of the key that made the pseudonyms here.

    Raises:
        TombstoneFileError: A line is none, or was written under another key.
    """
    found: dict[bytes, Tombstone] = {}
    if not path.exists():
        return []
    for number, line in enumerate(_whole_lines(path.read_bytes()).splitlines(), start=1):
        tombstone = _of_line(path, number, line, fingerprint)
        found[tombstone.subject] = later(found.get(tombstone.subject), tombstone)
    return list(found.values())


def later(one: Tombstone | None, other: Tombstone) -> Tombstone:
    """Return the tombstone that erases more."""
    return other if one is None or one.through <= other.through else one


def erased_until_ms(tombstones: Iterable[Tombstone]) -> int:
    """Return the time up to which all erasures are complete; 0 if none ever was.

    A model that is trained on the log holds nothing of whoever was erased by then.
    """
    found = sorted(tombstones, key=lambda each: each.erased_at_ms)
    until_ms = 0
    for tombstone in found:
        if not tombstone.is_complete:
            break
        until_ms = tombstone.erased_at_ms
    return until_ms


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _line(tombstone: Tombstone, fingerprint: bytes) -> str:
    facts = {
        "subject": tombstone.subject.hex(),
        "erased_at_ms": tombstone.erased_at_ms,
        "through": tombstone.through.hex(),
        "key": fingerprint.hex(),
    }
    return json.dumps(facts) + "\n"


def _of_line(path: Path, number: int, line: bytes, fingerprint: bytes) -> Tombstone:
    try:
        facts: Mapping[str, str | int] = json.loads(line)
        subject, through = (bytes.fromhex(str(facts[name])) for name in ("subject", "through"))
        key, erased_at_ms = bytes.fromhex(str(facts["key"])), int(facts["erased_at_ms"])
    except (ValueError, KeyError, TypeError) as error:
        raise TombstoneFileError(path, number, "it is no tombstone") from error
    if len(subject) != ID_BYTES or len(through) != ID_BYTES or erased_at_ms < 0:
        raise TombstoneFileError(path, number, "it is no tombstone")
    if key != fingerprint:
        raise TombstoneFileError(path, number, f"it was written under the key {key.hex()}")
    return Tombstone(subject, erased_at_ms, through)
