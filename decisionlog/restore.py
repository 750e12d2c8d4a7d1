"""Restores a backup whole or not at all, and erases again whoever was erased since."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from decisionlog.backup import FORMAT, MANIFEST, Manifest, OnProgress
from decisionlog.contacts import AuditKind
from decisionlog.directories import appearing, copied, sync_all
from decisionlog.erasure import erase_again, finish, tombstones
from decisionlog.errors import BackupDamaged, TombstoneFileError, WrongKey
from decisionlog.keys import Keys
from decisionlog.log import DecisionLog
from decisionlog.removal import Removed
from decisionlog.tombstones import TOMBSTONE_FILE, Tombstone, read_file


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored."""

    manifest: Manifest
    tombstones: int
    """Subjects that are known as erased."""
    erased: Removed
    """What the backup still had of them."""


def read_manifest(source: Path) -> Manifest:
    """Return what a backup says of itself.

    Raises:
        BackupDamaged: It is none, or of another release.
    """
    path = source / MANIFEST
    try:
        manifest = Manifest(**json.loads(path.read_bytes()))
        names = [PurePosixPath(name) for name in manifest.files]
        bytes.fromhex(manifest.key)
        sizes = [int(facts["bytes"]) for facts in manifest.files.values()]
    except OSError as error:
        raise BackupDamaged(path, error.strerror or "it cannot be read") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BackupDamaged(path, "it is no manifest of a backup") from error
    if manifest.format != FORMAT:
        raise BackupDamaged(path, f"format {manifest.format} is unknown")
    if any(name.is_absolute() or ".." in name.parts for name in names) or min(sizes, default=0) < 0:
        raise BackupDamaged(path, "it names files outside of the backup")
    return manifest


def restore(  # noqa: PLR0913 - what is injected stands in the open
    source: Path,
    directory: Path,
    *,
    open_log: Callable[[Path], DecisionLog],
    keys: Keys | None = None,
    tombstone_files: Iterable[Path] = (),
    on_progress: OnProgress | None = None,
) -> Restored:
    """Restore a backup.

    Args:
        source: The backup; it is not changed.
        directory: Not there yet, or empty.
        open_log: Opens the log of a directory for writing.
        keys: Must be those that the log was begun with; None: not checked.
        tombstone_files: Of later states of the log: who was erased since the backup was made.
        on_progress: Told of the bytes copied since it was last told, of `manifest.bytes`.

    Raises:
        DirectoryTaken: The directory has something in it.
        BackupDamaged: A file is missing or not what was backed up.
        WrongKey: The backup was made under another key.
        TombstoneFileError: A file of tombstones cannot be used.
    """
    manifest = read_manifest(source)
    _check_key(source, manifest, keys)
    fingerprint = bytes.fromhex(manifest.key)
    known = [one for path in tombstone_files for one in _named(path, fingerprint)]
    with appearing(directory) as scratch:
        _copy_all(source, scratch, manifest, on_progress)
        known += read_file(scratch / TOMBSTONE_FILE, fingerprint)
        with open_log(scratch) as log:
            found = [*erase_again(log.store, known).values(), *finish(log.store).values()]
            erased = sum((each.removed for each in found), Removed())
            count = len(tombstones(log.store))
            details = {"decisions": manifest.decisions, "erased": erased.decisions}
            log.record_act(AuditKind.RESTORE, details)
        sync_all(scratch)
    return Restored(manifest, count, erased)


def _named(path: Path, fingerprint: bytes) -> list[Tombstone]:
    """Return the tombstones of a file that somebody named: a slip must bring nobody back."""
    if not path.is_file():
        raise TombstoneFileError(path, 0, "there is no such file")
    return read_file(path, fingerprint)


def _check_key(source: Path, manifest: Manifest, keys: Keys | None) -> None:
    if keys is not None and keys.fingerprint.hex() != manifest.key:
        raise WrongKey(source, keys.fingerprint, bytes.fromhex(manifest.key))


def _copy_all(
    source: Path, scratch: Path, manifest: Manifest, on_progress: OnProgress | None
) -> None:
    for name, facts in manifest.files.items():
        path = source / name
        try:
            found = copied(path, scratch / name, on_progress)
        except FileNotFoundError as error:
            raise BackupDamaged(path, "it is missing") from error
        if found != facts:
            raise BackupDamaged(path, "it is not what was backed up")
