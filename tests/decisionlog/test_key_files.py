"""Files of secrets: a kill leaves the secrets that were there, and no other copy for long."""

import os
import subprocess
import sys
from pathlib import Path
from signal import SIGKILL

import pytest

from decisionlog.key_files import append, discard_unfinished, read_secrets
from decisionlog.key_ring import add_key, load_ring
from decisionlog.keys import load_keys
from decisionlog.tombstones import append_to_file

KILLED_AT = {
    "while it is written": "os.fsync = die",
    "before it takes its place": "Path.replace = die",
}
SCRIPT = """
import os, signal, sys
from pathlib import Path
from decisionlog.key_ring import add_key
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
{spoil}
add_key(Path(sys.argv[1]), data_directory=Path(sys.argv[2]))
"""


def killed(ring: Path, spoil: str) -> list[Path]:
    """Kill a process that adds a key; return what it leaves beside the ring."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(spoil=spoil), ring, ring.parent / "data"], check=False
    )
    assert done.returncode == -SIGKILL
    return [path for path in ring.parent.iterdir() if path != ring]


@pytest.mark.parametrize("moment", KILLED_AT)
def test_what_a_kill_leaves_is_closed_to_others_and_goes_with_the_next_key(
    tmp_path: Path, moment: str
) -> None:
    """A process that is killed while it adds a key has added none, and its copy does not stay."""
    ring, data = tmp_path / "ring", tmp_path / "data"
    first = add_key(ring, data_directory=data)
    left = killed(ring, KILLED_AT[moment])
    assert left
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in left)
    assert [key.key_id for key in load_ring(ring, data_directory=data)] == [first.key_id]
    second = add_key(ring, data_directory=data)
    assert [key.key_id for key in load_ring(ring, data_directory=data)] == [
        first.key_id,
        second.key_id,
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["ring"]


def test_what_a_kill_left_goes_without_a_new_key_as_well(tmp_path: Path) -> None:
    """Other files beside the ring stay, also those that are called like it."""
    ring = tmp_path / "ring"
    killed(ring, KILLED_AT["while it is written"])
    others = [tmp_path / ".ring.saved", tmp_path / ".other.ring"]
    for path in others:
        path.touch()
    discard_unfinished(ring)
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_what_a_kill_left_of_a_ring_is_no_key_file(tmp_path: Path) -> None:
    """A key file that is made in the same place takes nothing away but what is its own."""
    left = killed(tmp_path / "ring", KILLED_AT["while it is written"])
    load_keys(tmp_path / "key", data_directory=tmp_path / "data", create=True)
    assert sorted(tmp_path.iterdir()) == sorted([*left, tmp_path / "key"])


def test_a_ring_keeps_its_owner_and_the_links_to_it(tmp_path: Path) -> None:
    """Whoever adds a key by `sudo` does not lock the service out, nor leave its link behind."""
    ring, link = tmp_path / "keys" / "data.ring", tmp_path / "data.ring"
    ring.parent.mkdir()
    append(ring, bytes(32))
    link.symlink_to(ring)
    if os.geteuid() == 0:
        os.chown(ring, 65534, 65534)
    owner = ring.stat().st_uid
    append(link, bytes(range(32)))
    assert link.is_symlink()
    assert len(read_secrets(ring)) == 2
    assert ring.stat().st_uid == owner


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give files away")
def test_tombstones_belong_to_whom_the_data_belongs(tmp_path: Path) -> None:
    """An erasure by `sudo` must not keep the service from the next one."""
    os.chown(tmp_path, 65534, 65534)
    append_to_file(tmp_path / "tombstones.jsonl", [], bytes(8))
    assert (tmp_path / "tombstones.jsonl").stat().st_uid == 65534
