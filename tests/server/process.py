"""`sendwise serve` as a process of its own, with real workers."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.shop import CATALOG

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "proto")])}
COMMAND = (sys.executable, "-c", "from cli.main import run; run()")
WAIT_SECONDS = 60  # far beyond what anything here takes: only a hang gets there


class ServerProcess:
    """A supervisor and its workers on a directory that outlives them."""

    def __init__(self, directory: Path, *options: str, catalog: str | None = CATALOG) -> None:
        """Starts the process; `directory` has the data, the key and the catalog."""
        self.data_dir = directory / "data"
        arguments = ["serve", "--data", str(self.data_dir), *options]
        if catalog is not None:
            (directory / "catalog.toml").write_text(catalog)
            arguments += ["--catalog", str(directory / "catalog.toml")]
        if "--port" not in options:
            arguments += ["--port", "0"]
        self._errors = (directory / "stderr").open("w+")
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=ENVIRONMENT,
            cwd=ROOT,
            text=True,
        )

    def address(self) -> str:
        """Where it serves, once it does."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "serving on" in line, self.errors()
        return line.split()[3]

    def errors(self) -> str:
        """What it has said on standard error so far."""
        self._errors.seek(0)
        return self._errors.read()

    def workers(self) -> list[int]:
        """Pids of the workers that live now."""
        pid = self.process.pid
        with contextlib.suppress(FileNotFoundError):
            return [
                int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            ]
        return []

    def ended(self) -> int:
        """The exit code, once there is one."""
        return self.process.wait(WAIT_SECONDS)

    def stop(self) -> int:
        """Asks it to stop; the exit code."""
        self.process.terminate()
        return self.ended()

    def kill(self) -> None:
        """Kills supervisor and workers in one moment, as a power cut would; once is enough."""
        if self._errors.closed:
            return
        for pid in (self.process.pid, *self.workers()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()
        self._errors.close()


@contextmanager
def serving(
    directory: Path, *options: str, catalog: str | None = CATALOG
) -> Iterator[ServerProcess]:
    """A server process that is gone at the end, whatever happens."""
    server = ServerProcess(directory, *options, catalog=catalog)
    try:
        yield server
    finally:
        server.kill()
