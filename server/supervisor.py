"""Starts the workers, starts those that die again, and stops them all in order."""

import logging
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from server import address, directory_lock
from server.restarts import RestartRule, Restarts
from server.serve_errors import WorkerFailedError
from server.settings import ServeSettings, WorkerSettings, available_cores
from server.signals import SignalReader
from server.worker_process import WorkerProcess

WORKER_COMMAND = (sys.executable, "-m", "server.worker")
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient the supervisor is."""

    start_seconds_max: float = 180.0
    """A worker that is not ready by then is taken for stuck. To compile what is not kept yet takes
    some twenty seconds, and a minute or more where others use the machine."""
    margin_seconds: float = 3.0
    """What a worker gets beyond its grace time: to commit, close the log and leave."""
    restart_rule: RestartRule = field(default_factory=RestartRule)


def serve(
    settings: ServeSettings,
    *,
    command: Sequence[str] = WORKER_COMMAND,
    out: TextIO | None = None,
    limits: Limits | None = None,
    on_locked: Callable[[], object] = lambda: None,
) -> int:
    """Serves until SIGTERM or SIGINT; a second one ends calls that are still in flight.

    Prints one line on `out` when all workers are ready. gRPC is never imported here: a process
    that did could not start others safely.

    Args:
        settings: What to serve, where and with how many workers.
        command: Starts a worker; see `server.lifeline` for what it must do.
        out: Where to say that the service is ready; by default standard output.
        limits: How patient to be.
        on_locked: Called when directory and port are ours, before any worker starts.

    Returns:
        The exit code: 0 if every worker stopped in order, 1 if one had to be killed.

    Raises:
        AlreadyServingError: if another server holds the data directory.
        DataDirectoryError: if the data directory cannot be made or written.
        AddressError: if the address to listen on cannot be had.
        WorkerFailedError: if a worker cannot be kept running; the others have been stopped.
    """
    limits = limits or Limits()
    patience_seconds = settings.grace_seconds + limits.margin_seconds
    with (
        directory_lock.locked(settings.data_dir, patience_seconds=patience_seconds) as lock_fd,
        address.held(settings.host, settings.port) as port,
        SignalReader(signal.SIGTERM, signal.SIGINT, signal.SIGCHLD) as signals,
    ):
        on_locked()
        launch = Launch(settings, command, port, lock_fd)
        return Supervisor(launch, limits, out or sys.stdout).run(signals)


@dataclass(frozen=True, slots=True)
class Launch:
    """All that it takes to start a worker."""

    settings: ServeSettings
    command: Sequence[str]
    port: int
    lock_fd: int

    def worker(self, index: int, started_at: float) -> WorkerProcess:
        """Starts worker `index`, on a core of its own if there are several."""
        cores = available_cores()
        return WorkerProcess(
            self.command,
            WorkerSettings.of(self.settings, index=index, port=self.port),
            core=cores[index % len(cores)] if self.settings.workers > 1 else None,
            lock_fd=self.lock_fd,
            started_at=started_at,
        )


class _Slot:
    """The place of one worker, through all its lives."""

    def __init__(self, index: int, limits: Limits) -> None:
        self.index = index
        self.process: WorkerProcess | None = None
        self.restarts = Restarts(limits.restart_rule)
        self.start_at = 0.0
        self._start_seconds_max = limits.start_seconds_max

    @property
    def next_event_at(self) -> float | None:
        """When the supervisor must look at it again though nothing was heard."""
        if self.process is None:
            return self.start_at
        if self.process.is_ready:
            return None
        return self.process.started_at + self._start_seconds_max


class Supervisor:
    """The loop of the parent process."""

    def __init__(
        self,
        launch: Launch,
        limits: Limits,
        out: TextIO,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepares to start workers with `launch` and to say on `out` that they are ready."""
        self._launch = launch
        self._limits = limits
        self._out = out
        self._clock = clock
        self._slots = [_Slot(index, limits) for index in range(launch.settings.workers)]
        self._selector = selectors.DefaultSelector()
        self._stops = 0
        self._announced = False
        self._clean = True

    def run(self, signals: SignalReader) -> int:
        """Serves until told to stop; returns the exit code."""
        with self._selector:
            self._selector.register(signals, selectors.EVENT_READ)
            try:
                while not self._stops:
                    self._start_due()
                    self._listen(self._seconds_to_next_event())
                    self._reap(self._restart)
                    self._kill_stuck()
                    self._announce()
            except WorkerFailedError:
                self._drain()
                raise
            else:
                return self._drain()
            finally:
                self._kill_all()

    def _start_due(self) -> None:
        for slot in self._slots:
            if slot.process is None and slot.start_at <= self._clock():
                slot.process = self._launch.worker(slot.index, self._clock())
                self._selector.register(slot.process, selectors.EVENT_READ)

    def _seconds_to_next_event(self) -> float | None:
        times = [at for slot in self._slots if (at := slot.next_event_at) is not None]
        return max(0.0, min(times) - self._clock()) if times else None

    def _listen(self, timeout_seconds: float | None) -> None:
        """Takes in what signals and workers say, waiting for it if need be."""
        for key, _ in self._selector.select(timeout_seconds):
            if isinstance(key.fileobj, SignalReader):
                self._stops += len(STOP_SIGNALS & key.fileobj.take())
            elif isinstance(key.fileobj, WorkerProcess):
                self._read(key.fileobj)

    def _read(self, process: WorkerProcess) -> None:
        """A worker has nothing to say but `ready`; what a library prints goes to the log."""
        lines = process.read_lines()
        if lines is None:
            self._selector.unregister(process)
        for line in lines or ():
            logger.info("worker %d printed: %s", process.index, line.decode(errors="replace"))

    def _reap(self, then: Callable[[_Slot, WorkerProcess], None]) -> None:
        """Takes note of the workers that have ended."""
        for slot in self._slots:
            process = slot.process
            if process is not None and process.exit_code() is not None:
                slot.process = None
                self._forget(process)
                then(slot, process)

    def _forget(self, process: WorkerProcess) -> None:
        if process.fileno() in self._selector.get_map():
            self._selector.unregister(process)
        process.close()

    def _restart(self, slot: _Slot, process: WorkerProcess) -> None:
        """Decides when the worker is started again.

        Raises:
            WorkerFailedError: if it is not.
        """
        lived_seconds = self._clock() - process.started_at
        delay_seconds = slot.restarts.died(lived_seconds, was_ready=process.is_ready)
        deaths = slot.restarts.early_deaths
        if process.exit_code() == os.EX_CONFIG:  # starting again would not help
            raise WorkerFailedError(slot.index, max(deaths, 1), process.ending())
        if delay_seconds is None:
            raise WorkerFailedError(slot.index, deaths, process.ending())
        message = "worker %d (pid %d) ended with %s, starts again in %.1f s"
        logger.warning(message, slot.index, process.pid, process.ending(), delay_seconds)
        slot.start_at = self._clock() + delay_seconds

    def _kill_stuck(self) -> None:
        limit = self._limits.start_seconds_max
        for process in self._living():
            if not process.is_ready and self._clock() >= process.started_at + limit:
                logger.error("worker %d was not ready in %.1f s", process.index, limit)
                process.kill()

    def _announce(self) -> None:
        """Says once that the service is ready."""
        living = self._living()
        if self._announced or len(living) < len(self._slots):
            return
        if all(process.is_ready for process in living):
            where = address.shown(self._launch.settings.host, self._launch.port)
            workers = "1 worker" if len(living) == 1 else f"{len(living)} workers"
            print(f"sendwise: serving on {where} with {workers}", file=self._out, flush=True)
            self._announced = True

    def _drain(self) -> int:
        """Stops all workers within the grace time; returns the exit code."""
        for process in self._living():
            process.stop()
        grace_seconds = self._launch.settings.grace_seconds + self._limits.margin_seconds
        deadline = self._clock() + grace_seconds
        stops_before = self._stops
        while self._living() and self._clock() < deadline and self._stops == stops_before:
            self._listen(max(0.0, deadline - self._clock()))
            self._reap(self._note_end)
        self._kill_all()
        return 0 if self._clean else 1

    def _note_end(self, slot: _Slot, process: WorkerProcess) -> None:
        """A worker that was still starting had no calls to lose."""
        if process.is_ready and process.exit_code() != 0:
            logger.error("worker %d ended with %s while stopping", slot.index, process.ending())
            self._clean = False

    def _kill_all(self) -> None:
        for process in self._living():
            logger.error("worker %d did not stop in time and is killed", process.index)
            process.kill()
            self._clean = False
        self._reap(lambda _slot, _process: None)

    def _living(self) -> list[WorkerProcess]:
        return [slot.process for slot in self._slots if slot.process is not None]
