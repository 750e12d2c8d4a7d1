"""The script that installs what tests start, in a world where it finds only what it is given."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "system_packages"
BASICS = ("cat", "chmod", "cut", "sort", "touch")
PROGRAM = "chromium"  # of all that the script asks for, the one that is in no system directory

FAILING_APT = "#!/bin/sh\necho $1 >> {log}\nexit 100\n"
APT = """#!/bin/sh
echo $1 >> {log}
case $1 in
    update) touch {lists} ;;
    install) [ -e {lists} ] || exit 100; echo '#!/bin/sh' > {program}; chmod +x {program} ;;
esac
"""


class World:
    """A machine with few programs."""

    def __init__(self, directory: Path) -> None:
        self.bin = directory / "bin"
        self.bin.mkdir()
        self.log = directory / "log"
        self.lists = directory / "lists"
        for name in BASICS:
            (self.bin / name).symlink_to(shutil.which(name) or "")
        for name in ("ip", "nginx", "promtool", "systemd-analyze", "unshare"):
            self.add(name)

    def add(self, name: str, script: str = "#!/bin/sh\n") -> None:
        """Adds a program."""
        places = {"log": self.log, "lists": self.lists, "program": self.bin / PROGRAM}
        (self.bin / name).write_text(script.format(**places))
        (self.bin / name).chmod(0o755)

    def run(self, *, root: bool, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs the script."""
        self.add("id", f"#!/bin/sh\necho {0 if root else 1000}\n")
        return subprocess.run(
            ["/bin/sh", SCRIPT],
            env={"PATH": str(self.bin)} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        """What apt-get was asked for."""
        return self.log.read_text().split() if self.log.exists() else []


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A machine on which one program is missing."""
    if any((Path(place) / PROGRAM).exists() for place in ("/usr/sbin", "/sbin")):
        pytest.skip(f"{PROGRAM} lies in a system directory here")
    found = World(tmp_path)
    found.add("h2load")
    return found


def test_nothing_is_said_or_done_when_all_is_there(world: World) -> None:
    """It runs before every test run, so it keeps quiet."""
    world.add(PROGRAM)
    world.add("apt-get", APT)
    done = world.run(root=True, CI="true")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert world.calls() == []


def test_root_installs_what_is_missing(world: World) -> None:
    """With the package lists as they are, if they are there."""
    world.add("apt-get", APT)
    world.lists.touch()
    done = world.run(root=True, CI="true")
    assert done.returncode == 0, done.stderr
    assert world.calls() == ["install"]


def test_missing_lists_are_updated_and_the_installation_tried_again(world: World) -> None:
    """A fresh machine has none."""
    world.add("apt-get", APT)
    done = world.run(root=True, CI="true")
    assert done.returncode == 0, done.stderr
    assert world.calls() == ["install", "update", "install"]


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
@pytest.mark.parametrize("root", [False, True])
def test_what_cannot_be_installed_is_named(world: World, ci: str, code: int, *, root: bool) -> None:
    """Loudly, with what is not tested for it; in CI that is a failure."""
    world.add("apt-get", FAILING_APT)
    done = world.run(root=root, CI=ci)
    assert done.returncode == code
    assert "SOME TESTS WILL BE SKIPPED" in done.stderr
    assert "chromium (Debian package chromium): the HTML report in a browser" in done.stderr
    assert "nginx" not in done.stderr
    assert bool(world.calls()) == root


def test_the_script_can_be_run() -> None:
    """The Makefile calls it by its name."""
    assert os.access(SCRIPT, os.X_OK)
