"""Processes that use a log and are killed; forked off one that has imported all, so cheap."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from tests.simulation import log_worker

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["pytest", log_worker.__name__, "tests.simulation.warm"])


class Worker:
    """A process that does one of `log_worker.ACTS`, and what it says."""

    def __init__(self, act: str, directory: Path, first: int) -> None:
        """Starts it."""
        heard, said = CONTEXT.Pipe(duplex=False)
        told, tells = CONTEXT.Pipe(duplex=False)
        arguments = (act, directory, first, told, said)
        self._process = CONTEXT.Process(target=log_worker.act, args=arguments, daemon=True)
        self._process.start()
        self.pid = self._process.pid
        said.close()
        told.close()
        self._tells = tells
        self._heard = os.fdopen(os.dup(heard.fileno()))
        heard.close()

    def line(self) -> str:
        """The next line that it says; nothing if it has ended."""
        return self._heard.readline().strip()

    def lines(self) -> list[str]:
        """The whole lines that it says until it ends."""
        return [line.strip() for line in self._heard if line.endswith("\n")]

    def go(self) -> None:
        """Lets it go on where it waits."""
        os.write(self._tells.fileno(), b"\n")

    def kill(self) -> None:
        """Kills it (SIGKILL)."""
        self._process.kill()

    def wait(self) -> int | None:
        """Waits for its end; returns its exit code."""
        self._process.join()
        return self._process.exitcode

    def close(self) -> None:
        """Makes sure that it has ended."""
        self.kill()
        self.wait()
        self._process.close()
        self._heard.close()
        self._tells.close()


@contextmanager
def worker(act: str, directory: Path, first: int = 0) -> Iterator[Worker]:
    """Runs a worker; makes sure that it ends."""
    found = Worker(act, directory, first)
    try:
        yield found
    finally:
        found.close()
