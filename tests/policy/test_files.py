"""Files appear whole or not at all."""

import hashlib
import threading
from pathlib import Path

import pytest

from policy.files import sha256_of, sync, write_atomically


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """Text and bytes arrive as they are, in directories that are made where missing."""
    path = tmp_path / "a" / "b" / "file"
    write_atomically(path, "größer\r\n")
    assert path.read_bytes() == "größer\r\n".encode()
    write_atomically(path, b"\0\xff")
    assert path.read_bytes() == b"\0\xff"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_readers_see_the_old_content_or_the_new(tmp_path: Path) -> None:
    """While a file is replaced over and over, no reader ever sees a part of it, or nothing."""
    path = tmp_path / "file"
    contents = [bytes([value]) * 50_000 for value in range(20)]
    write_atomically(path, contents[0])

    def write() -> None:
        for content in contents * 3:
            write_atomically(path, content)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert path.read_bytes() in contents
    writer.join()
    assert path.read_bytes() == contents[-1]


def test_a_failed_write_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk is full the old file stays, and no scrap of the new one."""
    path = tmp_path / "file"
    write_atomically(path, "old")

    def fail(_handle: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr("policy.files.os.fsync", fail)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_content_and_name_are_synced_before_the_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content reaches the disk before the file has its name, the name before the return."""
    seen: list[bool] = []
    path = tmp_path / "file"
    monkeypatch.setattr("policy.files.os.fsync", lambda _handle: seen.append(path.exists()))
    write_atomically(path, "new")
    assert seen == [False, True]
    sync(path)
    assert len(seen) == 3


def test_the_hash_is_that_of_the_content(tmp_path: Path) -> None:
    """It is the plain SHA-256 that other tools give."""
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(b"x" * 100_000).hexdigest()
