"""Runs a Dockerfile's own lines without a container engine: mount namespaces and chroot.

Each stage gets an empty root directory. The system's programs and libraries are mounted into it,
read-only; they and this Python stand for the base image. Nothing else of the machine is seen.
"""

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.dockerfile import Instruction, Stage, context_files

SYSTEM = ("bin", "etc", "lib", "lib32", "lib64", "libx32", "opt", "sbin", "usr")
PASSED_ON = ("PIP_", "SSL_", "http", "HTTP", "no_proxy", "NO_PROXY")
"""Beginnings of the variables by which a machine says how it reaches the package index."""
PYTHON = Path(sys.base_prefix)
RUN_SECONDS_MAX = 900


@dataclass
class Image:
    """A stage as far as its instructions have been carried out."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    shell: list[str] = field(default_factory=lambda: ["/bin/sh", "-c"])
    workdir: str = "/"
    user: str = "0:0"
    said: dict[str, Instruction] = field(default_factory=dict)
    """The last instruction of each kind that only says how to run the image."""

    def words(self, name: str) -> list[str]:
        """The words of the last instruction of a kind."""
        return self.said[name].words()

    def run(
        self, command: list[str], *, caches: tuple[str, ...] = (), private_network: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command inside, as the image's user."""
        unshare = ["unshare", "--mount", "--propagation", "private"]
        unshare += ["--net"] if private_network else []
        assignments = [f"{name}={value}" for name, value in self.env.items()]
        enter = ["chroot", f"--userspec={self.user}", "--groups=", str(self.root)]
        clean = ["/usr/bin/env", "-i", f"--chdir={self.workdir}", *assignments]
        inside = shlex.join([*enter, *clean, *command])
        lines = ["set -eu", *self._mounts(caches)]
        lines += ["ip link set lo up"] if private_network else []
        script = "\n".join([*lines, f"exec {inside}"])
        return subprocess.run(
            [*unshare, "bash", "-c", script],
            check=False,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS_MAX,
        )

    def _mounts(self, caches: tuple[str, ...]) -> list[str]:
        """The lines that mount what stands for the base image."""
        lines = [f"mount --rbind /{name} {self._place(name)}" for name in ("dev", "proc")]
        for name in filter(_is_directory, SYSTEM):
            lines += _mount_read_only(Path("/", name), self._place(name))
        if PYTHON.parts[1] not in SYSTEM:
            lines += _mount_read_only(PYTHON, self._place(str(PYTHON)[1:]))
        for cache in caches:
            store = Path.home() / cache.removeprefix("/root/")
            store.mkdir(parents=True, exist_ok=True)
            lines.append(shlex.join(["mount", "--bind", str(store), str(self._place(cache[1:]))]))
        return lines

    def _place(self, name: str) -> Path:
        """A directory below the root to mount something on."""
        place = self.root / name
        place.mkdir(parents=True, exist_ok=True)
        return place

    def inside(self, path: str) -> Path:
        """Where a path of the image lies on this machine."""
        return self.root / os.path.normpath(os.path.join("/", self.workdir, path))[1:]  # noqa: PTH118


def _is_directory(name: str) -> bool:
    path = Path("/", name)
    return path.is_dir() and not path.is_symlink()


def _mount_read_only(source: Path, place: Path) -> list[str]:
    bind = shlex.join(["mount", "--bind", str(source), str(place)])
    protect = shlex.join(["mount", "-o", "remount,bind,ro", str(place)])
    return [bind, protect]


def base(root: Path) -> Image:
    """What a FROM gives: an empty root, but for what every system has."""
    for name in ("tmp", "root", "var"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for name in SYSTEM:
        link = Path("/", name)
        if link.is_symlink():
            (root / name).symlink_to(link.readlink())
    root.chmod(0o755)
    env = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    path = f"{PYTHON}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    return Image(root, env | {"PATH": path, "HOME": "/root"})


class Builder:
    """Carries out stages over a build context."""

    def __init__(self, context: Path, scratch: Path) -> None:
        self._context = context
        self._scratch = scratch
        self.images: dict[str, Image] = {}

    def build(self, stage: Stage) -> Image:
        """Carries out one stage; the earlier ones may be copied from."""
        image = self.images[stage.name] = base(self._scratch / (stage.name or "image"))
        for instruction in stage.instructions:
            self._carry_out(instruction, image)
        return image

    def _carry_out(self, one: Instruction, image: Image) -> None:
        if one.name == "SHELL":
            image.shell = one.words()
        elif one.name == "ENV":
            image.env |= {name: _expand(value, image) for name, value in _pairs(one)}
        elif one.name == "WORKDIR":
            image.workdir = one.rest
            image.inside(".").mkdir(parents=True, exist_ok=True)
        elif one.name == "USER":
            image.user = one.rest
        elif one.name == "RUN":
            _run(one, image)
        elif one.name == "COPY":
            self._copy(one, image)
        else:
            image.said[one.name] = one

    def _copy(self, one: Instruction, image: Image) -> None:
        *sources, target = one.words()
        for source in sources:
            if origin := one.flag("from"):
                # Links, not copies: the earlier stage is finished, and nothing writes to them.
                shutil.copytree(
                    self.images[origin].inside(source),
                    image.inside(target),
                    symlinks=True,
                    copy_function=os.link,
                )
            else:
                self._copy_context(source, image.inside(target))

    def _copy_context(self, source: str, target: Path) -> None:
        """Copies a file of the context into a directory, or all that there is."""
        wanted = Path(source)
        found = [path for path in context_files(self._context) if wanted in (path, *path.parents)]
        assert found, f"COPY {source}: not in the build context"
        for path in found:
            place = target / path
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self._context / path, place)


def _pairs(one: Instruction) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (word.partition("=") for word in one.words())]


def _expand(value: str, image: Image) -> str:
    """Replaces $NAME by the value before this instruction."""
    for name, earlier in image.env.items():
        value = value.replace(f"${name}", earlier)
    return value


def _run(one: Instruction, image: Image) -> None:
    mounts = [value for name, value in one.flags if name == "mount"]
    caches = tuple(value.removeprefix("type=cache,target=") for value in mounts)
    done = image.run([*image.shell, one.rest], caches=caches)
    assert done.returncode == 0, f"RUN {one.rest}\n{done.stdout}\n{done.stderr}"
