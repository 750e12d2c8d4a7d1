"""The image, made by the Dockerfile's own lines in an empty directory, and what it does."""

import os
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.dockerfile import context_files, parse
from tests.deploy.sandbox import Builder, Image
from tests.programs import require_program

ROOT = Path(__file__).resolve().parents[2]
CATALOG = ROOT / "examples" / "hillstrom" / "catalog.toml"

MEMORY = Path("/dev/shm")  # noqa: S108 - what is made in it gets a name of its own
IMAGE_BYTES_MAX = 4 * 2**30

pytestmark = pytest.mark.timeout(1_200)  # it may have to load 200 MB of wheels


def has_room(place: Path) -> bool:
    """Whether programs can be put there and run, as many as the image needs."""
    if not place.is_dir():
        return False
    facts = os.statvfs(place)
    return not facts.f_flag & os.ST_NOEXEC and facts.f_bavail * facts.f_frsize > IMAGE_BYTES_MAX


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The last stage, after all its instructions."""
    for program in ("unshare", "chroot", "ip"):
        require_program(program)
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            "building the image without a container engine takes root, for chroot"
        )
    # It is large, so pytest must not keep it, and four times as fast in memory as on a busy disk.
    place = MEMORY if has_room(MEMORY) else tmp_path_factory.getbasetemp()
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        builder = Builder(ROOT, Path(scratch))
        *_, last = [builder.build(stage) for stage in parse((ROOT / "Dockerfile").read_text())]
        yield last


def test_the_command_is_there(image: Image) -> None:
    """The entry point runs from the installed environment, and that holds no source tree."""
    done = image.run([*image.words("ENTRYPOINT"), "--help"])
    assert done.returncode == 0, done.stderr
    assert "serve" in done.stdout
    assert not image.inside("/build").exists()


def test_it_serves_is_healthy_and_stops_in_order(image: Image) -> None:
    """As the image's own user, with its own health check, in a network of its own."""
    (image.root / "tmp" / "catalog.toml").write_bytes(CATALOG.read_bytes())
    serve = [*image.words("ENTRYPOINT"), *image.words("CMD"), "--catalog", "/tmp/catalog.toml"]  # noqa: S108
    check = image.words("HEALTHCHECK")
    script = f"""
        {shlex.join(serve)} & server=$!
        for attempt in $(seq 100); do
            {shlex.join(check)} && break
            kill -0 $server
            sleep 0.2
        done
        kill -TERM $server
        wait $server
        ls -ln /data /keys
    """
    done = image.run(["/bin/bash", "-euc", script], private_network=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "sendwise: 127.0.0.1:50051 is serving" in done.stdout
    assert " 10001 10001 " in done.stdout


def test_nothing_in_it_runs_as_root(image: Image) -> None:
    """The user is a number, so that an orchestrator can see that it is not root."""
    done = image.run(["/usr/bin/id", "-u"])
    assert int(done.stdout) > 0
    assert image.user.replace(":", "").isdigit()


def test_program_files_cannot_be_changed_from_inside(image: Image) -> None:
    """The user owns data, key and compiled code, and nothing else."""
    done = image.run(["/usr/bin/find", "/", "-xdev", "-user", image.user.partition(":")[0]])
    owned = {"/" + path.split("/")[1] for path in done.stdout.split()}
    kept = {"/data", "/keys", "/cache"}
    assert kept <= owned <= kept | {"/tmp"}  # noqa: S108


def test_only_what_is_listed_gets_into_the_build() -> None:
    """No tests, no version control, no environments, no data; but everything that is installed."""
    files = {str(path) for path in context_files(ROOT)}
    assert {path.partition("/")[0] for path in files} == {
        *("pyproject.toml", "README.md", "requirements.lock", "requirements-build.lock"),
        *("policy", "decisionlog", "server", "replay", "cli", "proto"),
    }
    assert not any("__pycache__" in path for path in files)
    assert "server/supervisor.py" in files
    assert "replay/templates/report.html.j2" in files


def test_an_unknown_instruction_is_refused() -> None:
    """What the test cannot carry out, it must not skip."""
    with pytest.raises(ValueError, match="ADD"):
        parse("FROM x\nADD a b\n")


def test_every_dependency_of_the_build_is_locked() -> None:
    """The build tools in the image are the ones that developers have."""
    build = (ROOT / "requirements-build.lock").read_text()
    development = (ROOT / "requirements-dev.lock").read_text()
    pins = {line.split()[0] for line in build.splitlines() if "==" in line}
    assert any(pin.startswith("hatchling==") for pin in pins)
    assert pins <= {line.split()[0] for line in development.splitlines() if "==" in line}
