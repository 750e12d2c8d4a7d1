"""`sendwise backup`, `restore`: the whole data directory, out and in."""

from pathlib import Path
from typing import Annotated

import typer

from cli.key_ring import ring_source
from cli.opening import key_file_of, log, now_ms, record_act
from cli.options import DEFAULT_DATA_DIR, DataDir, Format, KeyFile, OutputFormat
from cli.output import line, progress, show
from decisionlog import AuditKind, DecisionLog, Keys, load_keys
from decisionlog.backup import backup as make_backup
from decisionlog.backup import bytes_to_copy
from decisionlog.restore import read_manifest
from decisionlog.restore import restore as restore_backup


def backup(
    target: Annotated[
        Path, typer.Argument(help="Directory to make; must not be there.", show_default=False)
    ],
    *,
    data: DataDir = DEFAULT_DATA_DIR,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Copy the data directory while a server goes on serving.

    Log, models, catalogs and rollouts: the log is compacted, every file has its hash in the
    backup, and no key is in it.
    """
    with log(data) as opened, progress("Backing up", bytes_to_copy(opened.store)) as advance:
        made = make_backup(opened.store, target, now_ms(), advance)
    record_act(data, AuditKind.BACKUP, decisions=made.decisions, bytes=made.bytes)
    facts = {
        "backup": str(target),
        "decisions": made.decisions,
        "files": len(made.files),
        "bytes": made.bytes,
    }
    text = f"{target}: {made.decisions:,} decisions, {facts['files']:,} files, {made.bytes:,} bytes"
    show(facts, form, lambda: line(text))


def restore(
    source: Annotated[Path, typer.Argument(help="The backup.", show_default=False)],
    *,
    data: DataDir = DEFAULT_DATA_DIR,
    key_file: KeyFile = None,
    tombstones: Annotated[
        list[Path] | None,
        typer.Option(
            help="File of tombstones of the lost directory, so that nobody comes back who was "
            "erased since the backup; may be repeated."
        ),
    ] = None,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Restore a backup into an empty data directory.

    Every hash is checked. Whoever was erased, by the backup's own tombstones or those given, is
    erased again.
    """
    keys = _keys(data, key_file)
    with progress("Restoring", read_manifest(source).bytes) as advance:
        restored = restore_backup(
            source,
            data,
            open_log=lambda directory: DecisionLog.open(
                directory, keys=keys, key_ring=ring_source(data)
            ),
            keys=keys,
            tombstone_files=tombstones or [],
            on_progress=advance,
        )
    facts = {
        "data": str(data),
        "decisions": restored.manifest.decisions - restored.erased.decisions,
        "tombstones": restored.tombstones,
        "erased_again": restored.erased.decisions,
        "key_checked": keys is not None,
    }

    def text() -> None:
        line(
            f"{data}: {facts['decisions']:,} decisions; {restored.tombstones:,} tombstones, "
            f"{restored.erased.decisions:,} decisions erased again"
        )
        if keys is None:
            line(f"the key was not checked: there is none at {key_file_of(data, key_file)}")

    show(facts, form, text)


def _keys(data: Path, key_file: Path | None) -> Keys | None:
    """The keys that are there; a file that was named must be."""
    path = key_file_of(data, key_file)
    if key_file is None and not path.exists():
        return None
    return load_keys(path, data_directory=data)
