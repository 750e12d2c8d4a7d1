"""Backs a data directory up while it is in use, whole or not at all.

A backup is a directory with the log, compacted, as it was at one moment, and every other file of
the data directory, copied after that moment: all that the log's records name is among them. Its
`backup.json` has the hash of each file. Keys lie outside the data directory and are in none.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from decisionlog.directories import FileFacts, appearing, copied, sync_all
from decisionlog.errors import BackupInside
from decisionlog.readers import LOCK_FILE
from decisionlog.schema import fingerprint
from decisionlog.store import DATA_FILE, Store
from decisionlog.tables import Table

MANIFEST: Final = "backup.json"
FORMAT: Final = 1
LOG_FILE: Final = f"log/{DATA_FILE}"

_SKIPPED: Final = frozenset({"log", "server.lock", MANIFEST})
# What was registered first is copied last: a rollout never names a model that is not there.
_LAST: Final = ("catalogs", "models")

OnProgress = Callable[[int], None]
"""Called with the bytes written since the last call."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    format: int
    created_at_ms: int
    """Unix time."""
    key: str
    """Fingerprint of the key that pseudonyms were made with, in hex."""
    decisions: int
    files: dict[str, FileFacts]
    """By their paths in the backup."""

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(facts["bytes"] for facts in self.files.values())


def backup(
    store: Store, target: Path, created_at_ms: int, on_progress: OnProgress | None = None
) -> Manifest:
    """Back up the data directory of a log that others may be writing to.

    Args:
        store: The log, open.
        target: A directory that is not there yet, or is empty.
        created_at_ms: Unix time, noted in the backup.
        on_progress: See `OnProgress`; of about `bytes_to_copy`.

    Raises:
        DirectoryTaken: There is something already.
        BackupInside: The directory lies in that which is backed up.
        LogUnavailable: The log cannot be copied.
        OSError: The backup cannot be written; nothing is left of it.
    """
    advance = on_progress or (lambda _: None)
    if target.resolve().is_relative_to(store.directory.resolve()):
        raise BackupInside(target, store.directory)
    with appearing(target) as scratch:
        manifest = _filled(store, scratch, created_at_ms, advance)
        text = json.dumps(asdict(manifest), indent=1, sort_keys=True)
        (scratch / MANIFEST).write_text(text + "\n", encoding="utf-8")
        sync_all(scratch)
    return manifest


def bytes_to_copy(store: Store) -> int:
    """Return about how many bytes a backup will have."""
    with store.read() as transaction:
        used = transaction.used_bytes()
    return used + sum(path.stat().st_size for path in _others(store.directory))


def _filled(store: Store, scratch: Path, created_at_ms: int, advance: OnProgress) -> Manifest:
    log_file = scratch / LOG_FILE
    log_file.parent.mkdir(mode=0o700)
    store.copy_to(log_file.parent, advance)
    with store.read() as transaction:
        key = fingerprint(transaction).hex()
    files = {LOG_FILE: copied(log_file, None)}
    for path in _others(store.directory):
        name = path.relative_to(store.directory).as_posix()
        files[name] = copied(path, scratch / name, advance)
    return Manifest(FORMAT, created_at_ms, key, _decisions(store, scratch), files)


def _decisions(store: Store, scratch: Path) -> int:
    """Return how many decisions the copy has: it opens, at least."""
    with Store(scratch, read_only=True, sealer=store.sealer) as copy:
        copy.open_tables()
        with copy.read() as transaction:
            found = transaction.count(Table.DECISIONS)
    (scratch / "log" / LOCK_FILE).unlink(missing_ok=True)
    return found


def _others(directory: Path) -> list[Path]:
    """Return all other files of a data directory, but for what is being written or only held.

    Links are followed: models may lie on another disk.
    """
    found = [
        Path(place) / name
        for place, _, names in _walked(directory)
        for name in names
        if _is_kept((Path(place) / name).relative_to(directory))
    ]
    return sorted(found, key=lambda path: (path.relative_to(directory).parts[0] in _LAST, path))


def _walked(directory: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk a directory through its links, each place once: links may lead in a circle."""
    seen: set[str] = set()
    for place, below, names in os.walk(directory, followlinks=True):
        below[:] = [each for each in below if os.path.realpath(Path(place) / each) not in seen]
        seen |= {os.path.realpath(Path(place) / each) for each in below}
        yield place, below, names


def _is_kept(name: Path) -> bool:
    return name.parts[0] not in _SKIPPED and not any(part.startswith(".") for part in name.parts)
