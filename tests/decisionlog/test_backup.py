"""Backups of a living log: whole, checked, and honest about who was erased since."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from decisionlog import (
    AuditKind,
    BackupDamaged,
    BackupInside,
    DecisionLog,
    DirectoryTaken,
    Keys,
    LogFull,
    TombstoneFileError,
    WrongKey,
    erasure,
)
from decisionlog.backup import LOG_FILE, MANIFEST, backup, bytes_to_copy
from decisionlog.directories import appearing
from decisionlog.restore import Restored, read_manifest, restore
from decisionlog.tables import ID_BYTES, Table
from decisionlog.tombstones import TOMBSTONE_FILE, Tombstone, append_to_file
from tests.decisionlog.samples import KEYS
from tests.decisionlog.test_erasure import (
    ALICE,
    BOB,
    MANY,
    NOW_MS,
    bytes_of,
    fill,
    opened,
    proposal,
)

CONTEXT = get_context("forkserver")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DecisionLog]:
    """Yield a log of a data directory that has models, a lock and half-written files as well."""
    directory = tmp_path / "data"
    with opened(directory) as log:
        fill(log)
        (directory / "models" / "chain-1").mkdir(parents=True)
        (directory / "models" / "chain-1" / "weights.npy").write_bytes(bytes(3_000_000))
        (directory / "models" / ".new-1").mkdir()
        (directory / "models" / ".new-1" / "weights.npy").write_bytes(b"half")
        (directory / "rollout.json").write_text("{}")
        (directory / "server.lock").write_text("1")
        yield log


def restored(tmp_path: Path, name: str = "restored", **options: object) -> Restored:
    """Restore the backup."""
    return restore(tmp_path / "backup", tmp_path / name, open_log=opened, **options)  # type: ignore[arg-type]


def test_a_restored_log_is_the_one_backed_up(log: DecisionLog, tmp_path: Path) -> None:
    """Every row and every file is there again; locks and what was half-written are not."""
    progress: list[int] = []
    total = bytes_to_copy(log.store)
    made = backup(log.store, tmp_path / "backup", NOW_MS, progress.append)
    assert sorted(made.files) == [LOG_FILE, "models/chain-1/weights.npy", "rollout.json"]
    assert made.decisions == MANY - 1
    assert 0.8 * total < sum(progress) < 1.2 * total
    read: list[int] = []
    found = restored(tmp_path, keys=KEYS, on_progress=read.append)
    assert (found.tombstones, found.erased.total) == (0, 0)
    assert sum(read) == made.bytes
    with opened(tmp_path / "restored") as copy:
        (act,) = [one for one in copy.audit_trail() if one.kind is AuditKind.RESTORE]
        with copy.store.write() as transaction:
            transaction.delete(Table.AUDIT, act.entry_id)
        assert bytes_of(copy.store) == bytes_of(log.store)
        assert copy.taken() == log.taken()
    assert (tmp_path / "restored/models/chain-1/weights.npy").read_bytes() == bytes(3_000_000)


def test_a_restored_log_is_its_owners_alone(log: DecisionLog, tmp_path: Path) -> None:
    """Also in a mount point that everybody may read, as a new log would be."""
    backup(log.store, tmp_path / "backup", NOW_MS)
    place = tmp_path / "restored"
    place.mkdir(mode=0o755)
    restored(tmp_path, keys=KEYS)
    assert (place / "log").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (place / "log").iterdir()} == {0o600}


def test_a_backup_under_load_is_one_moment(log: DecisionLog, tmp_path: Path) -> None:
    """While others write, a backup holds a prefix of what was acknowledged, and it is sound."""
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(
            lambda: [log.record([proposal(n, ALICE)]) for n in range(1_000, 1_200)]
        )
        for turn in range(3):
            backup(log.store, tmp_path / f"backup {turn}", NOW_MS)
        writing.result()
    for turn in range(3):
        restore(tmp_path / f"backup {turn}", tmp_path / f"copy {turn}", open_log=opened)
        with opened(tmp_path / f"copy {turn}") as copy:
            numbers = [
                each.decision.decided_at_ms
                for each in copy.scan()
                if each.decision.decided_at_ms >= 1_000
            ]
            assert numbers == list(range(1_000, 1_000 + len(numbers)))
            assert copy.counts().decisions == copy.counts().requests == len(numbers) + MANY - 1


def test_what_was_erased_since_does_not_come_back(log: DecisionLog, tmp_path: Path) -> None:
    """The tombstones of the lost directory erase from an older backup what it still has."""
    backup(log.store, tmp_path / "backup", NOW_MS)
    erasure.erase(log.store, [ALICE], NOW_MS)
    beside = tmp_path / "data" / TOMBSTONE_FILE
    found = restored(tmp_path, tombstone_files=[beside])
    assert (found.tombstones, found.erased.decisions) == (1, MANY // 2 - 1)
    with opened(tmp_path / "restored") as copy:
        assert ALICE not in bytes_of(copy.store)
        assert copy.counts().decisions == MANY // 2
        assert (tmp_path / "restored" / TOMBSTONE_FILE).exists()


def test_a_backup_knows_its_own_tombstones(log: DecisionLog, tmp_path: Path) -> None:
    """An erasure that was stopped half-way when the backup was made is finished by the restore."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(erasure, "_remove_group", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            erasure.erase(log.store, [BOB], NOW_MS)
    backup(log.store, tmp_path / "backup", NOW_MS)
    found = restored(tmp_path)
    assert found.erased.decisions == MANY // 2
    with opened(tmp_path / "restored") as copy:
        assert BOB not in bytes_of(copy.store)
        assert all(each.is_complete for each in erasure.tombstones(copy.store))


def test_no_key_is_in_a_backup(log: DecisionLog, tmp_path: Path) -> None:
    """Neither the secret nor a subject's own id is in any of its files."""
    backup(log.store, tmp_path / "backup", NOW_MS)
    content = b"".join(
        path.read_bytes() for path in (tmp_path / "backup").rglob("*") if path.is_file()
    )
    secret = bytes(range(32))
    assert secret not in content
    assert secret.hex().encode() not in content
    assert b"alice" not in content


def _truncated(directory: Path) -> None:
    file = directory / LOG_FILE
    file.write_bytes(file.read_bytes()[:-4096])


def _flipped(directory: Path) -> None:
    content = bytearray((directory / LOG_FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (directory / LOG_FILE).write_bytes(content)


def _missing(directory: Path) -> None:
    (directory / "models/chain-1/weights.npy").unlink()


def _no_manifest(directory: Path) -> None:
    (directory / MANIFEST).unlink()


def _edited(directory: Path, **facts: object) -> None:
    manifest = json.loads((directory / MANIFEST).read_text())
    (directory / MANIFEST).write_text(json.dumps({**manifest, **facts}))


DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (_truncated, "not what was backed up"),
    (_flipped, "not what was backed up"),
    (_missing, "missing"),
    (_no_manifest, MANIFEST),
    (lambda directory: _edited(directory, format=2), "format 2"),
    (lambda directory: _edited(directory, files=7), "no manifest"),
    (lambda directory: _edited(directory, more=7), "no manifest"),
    (lambda directory: _edited(directory, key="no hex"), "no manifest"),
    (lambda directory: _edited(directory, key=7), "no manifest"),
    (
        lambda directory: _edited(directory, files={"../../evil": {"bytes": 1, "sha256": "00"}}),
        "outside",
    ),
    (
        lambda directory: _edited(directory, files={"/evil": {"bytes": 1, "sha256": "00"}}),
        "outside",
    ),
]


@pytest.mark.parametrize(("damage", "problem"), DAMAGES)
def test_a_damaged_backup_restores_nothing(
    log: DecisionLog, tmp_path: Path, damage: Callable[[Path], None], problem: str
) -> None:
    """Whatever is wrong is named, and no directory is left behind."""
    backup(log.store, tmp_path / "backup", NOW_MS)
    damage(tmp_path / "backup")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BackupDamaged, match=problem):
        restored(tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_another_key_is_refused(log: DecisionLog, tmp_path: Path) -> None:
    """A backup whose subjects nobody could recognise is not restored."""
    backup(log.store, tmp_path / "backup", NOW_MS)
    with pytest.raises(WrongKey):
        restored(tmp_path, keys=Keys(bytes(32)))
    assert not (tmp_path / "restored").exists()


def test_broken_tombstones_restore_nothing(log: DecisionLog, tmp_path: Path) -> None:
    """Where it is not known who was erased, nobody comes back."""
    backup(log.store, tmp_path / "backup", NOW_MS)
    (tmp_path / "tombs").write_text("?\n")
    with pytest.raises(TombstoneFileError):
        restored(tmp_path, tombstone_files=[tmp_path / "tombs"])
    assert not (tmp_path / "restored").exists()


def test_tombstones_that_are_named_must_be_there(log: DecisionLog, tmp_path: Path) -> None:
    """A slip in the name of their file brings nobody back."""
    backup(log.store, tmp_path / "backup", NOW_MS)
    with pytest.raises(TombstoneFileError, match="no such file"):
        restored(tmp_path, tombstone_files=[tmp_path / "nowhere"])
    assert not (tmp_path / "restored").exists()


def test_of_two_files_the_tombstone_that_erases_more_counts(
    log: DecisionLog, tmp_path: Path
) -> None:
    """A subject that was erased twice stays erased, in whatever order the files are named."""
    backup(log.store, tmp_path / "backup", NOW_MS)
    files = [tmp_path / "later", tmp_path / "earlier"]
    for path, through in zip(files, (b"\xff" * ID_BYTES, bytes(ID_BYTES)), strict=True):
        append_to_file(path, [Tombstone(ALICE, NOW_MS, through)], KEYS.fingerprint)
    for name, order in (("one", files), ("other", files[::-1])):
        found = restored(tmp_path, name, tombstone_files=order)
        assert (found.tombstones, found.erased.decisions) == (1, MANY // 2 - 1)


def test_nothing_is_written_over(log: DecisionLog, tmp_path: Path) -> None:
    """Neither a backup nor a restore goes where something is; an empty directory is fine."""
    (tmp_path / "backup").mkdir()
    backup(log.store, tmp_path / "backup", NOW_MS)
    with pytest.raises(DirectoryTaken):
        backup(log.store, tmp_path / "backup", NOW_MS)
    with pytest.raises(DirectoryTaken):
        restored(tmp_path, "data")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DirectoryTaken):
        backup(log.store, tmp_path / "file", NOW_MS)
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert restored(tmp_path, "empty").manifest == read_manifest(tmp_path / "backup")


def test_a_failed_backup_leaves_nothing(log: DecisionLog, tmp_path: Path) -> None:
    """A backup appears whole or not at all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("decisionlog.backup.sync_all", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            backup(log.store, tmp_path / "backup", NOW_MS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_what_a_killed_backup_left_is_removed(log: DecisionLog, tmp_path: Path) -> None:
    """The next one beside it removes it, and leaves alone what another one is filling."""
    killed = CONTEXT.Process(target=_killed_backup, args=(tmp_path / "backup",))
    killed.start()
    killed.join()
    assert len(list(tmp_path.glob(".backup.*"))) == 1
    with appearing(tmp_path / "filling") as filling:
        backup(log.store, tmp_path / "another", NOW_MS)
        assert filling.exists()
        assert not list(tmp_path.glob(".backup.*"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["another", "data", "filling"]


def _killed_backup(target: Path) -> None:
    with appearing(target):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_mount_point_is_filled(
    log: DecisionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's volume cannot be replaced: backup and restore appear within it."""
    volume, copy = tmp_path / "volume", tmp_path / "copy"
    monkeypatch.setattr("decisionlog.directories.os.path.ismount", [volume, copy].__contains__)
    for directory in (volume, copy):
        (directory / "lost+found").mkdir(parents=True)
        (directory / f".{directory.name}.unfinished-1").mkdir()
    before = volume.stat().st_ino
    made = backup(log.store, volume, NOW_MS)
    assert volume.stat().st_ino == before
    assert {path.name for path in volume.iterdir()} == {
        *{name.split("/")[0] for name in made.files},
        "lost+found",
        MANIFEST,
    }
    restore(volume, copy, open_log=opened)
    with opened(copy) as restored_log:
        assert restored_log.counts() == log.counts()
    assert not list(copy.glob(".*"))
    with pytest.raises(DirectoryTaken):
        backup(log.store, volume, NOW_MS)


def test_a_failed_restore_leaves_a_mount_point_empty(
    log: DecisionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is moved to its name before all is there."""
    backup(log.store, tmp_path / "backup", NOW_MS)
    _flipped(tmp_path / "backup")
    monkeypatch.setattr("decisionlog.directories.os.path.ismount", lambda _: True)
    (tmp_path / "restored").mkdir()
    with pytest.raises(BackupDamaged):
        restored(tmp_path)
    assert not list((tmp_path / "restored").iterdir())


def test_a_backup_follows_links(log: DecisionLog, tmp_path: Path) -> None:
    """Models on another disk are backed up as well, once, also where links lead in a circle."""
    models = tmp_path / "data" / "models"
    elsewhere = tmp_path / "elsewhere"
    models.rename(elsewhere)
    models.symlink_to(elsewhere)
    (elsewhere / "circle").symlink_to(elsewhere)
    made = backup(log.store, tmp_path / "backup", NOW_MS)
    assert sorted(made.files) == [LOG_FILE, "models/chain-1/weights.npy", "rollout.json"]


def test_a_backup_lies_outside(log: DecisionLog, tmp_path: Path) -> None:
    """Else each would hold all that were made before, with whoever was erased since."""
    with pytest.raises(BackupInside, match="name a directory outside"):
        backup(log.store, tmp_path / "data" / "backups" / "1", NOW_MS)
    assert not (tmp_path / "data" / "backups").exists()


def test_a_link_to_an_empty_directory_is_filled(log: DecisionLog, tmp_path: Path) -> None:
    """The directory that it leads to is; the link stays."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "backup"
    link.symlink_to(tmp_path / "real")
    backup(log.store, link, NOW_MS)
    assert link.is_symlink()
    assert (tmp_path / "real" / MANIFEST).exists()


def test_no_tombstone_is_left_of_an_erasure_without_room(
    log: DecisionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is told that nothing was stored: no later restore may erase by it."""

    def fill_up(*_: object) -> None:
        raise LogFull(tmp_path, "its map is full")

    monkeypatch.setattr(erasure, "_forget_standing", fill_up)
    with pytest.raises(LogFull):
        erasure.erase(log.store, [ALICE], NOW_MS)
    assert not (tmp_path / "data" / TOMBSTONE_FILE).exists()
    assert erasure.tombstones(log.store) == []
