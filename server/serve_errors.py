"""What can go wrong before or around serving: one tree, for the operator who starts the service."""

from pathlib import Path


class ServeError(Exception):
    """The service cannot start, or cannot go on."""


class InvalidSettingError(ServeError):
    """A setting is missing, out of range, or contradicts another."""

    def __init__(self, setting: str, problem: str) -> None:
        self.setting = setting
        self.problem = problem
        super().__init__(f"{setting}: {problem}")


class AlreadyServingError(ServeError):
    """Another server, or what is left of one, holds the data directory."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        self.data_dir = data_dir
        self.pid = pid
        holder = f"the process {pid}" if pid else "another process"
        super().__init__(
            f"{data_dir} is served by {holder}: stop it first, "
            "or give each server a directory of its own"
        )


class DataDirectoryError(ServeError):
    """The data directory cannot be made or written."""

    def __init__(self, data_dir: Path, problem: str) -> None:
        self.data_dir = data_dir
        self.problem = problem
        super().__init__(
            f"cannot use {data_dir}: {problem}; choose a directory that can be written"
        )


class AddressError(ServeError):
    """The address to listen on is taken, forbidden or not this machine's."""

    def __init__(self, host: str, port: int, problem: str) -> None:
        self.host = host
        self.port = port
        self.problem = problem
        super().__init__(f"cannot listen on {host}:{port}: {problem}; choose another host or port")


class WorkerFailedError(ServeError):
    """A worker cannot be kept running."""

    def __init__(self, index: int, deaths: int, ending: str) -> None:
        self.index = index
        self.deaths = deaths
        self.ending = ending
        times = "once" if deaths == 1 else f"{deaths} times in a row"
        super().__init__(
            f"worker {index} stopped {times} soon after its start, last with {ending}: "
            "its own last lines above say why"
        )


class MetricsPortError(ServeError):
    """The port for Prometheus cannot be opened."""

    def __init__(self, host: str, port: int, problem: str) -> None:
        self.host = host
        self.port = port
        self.problem = problem
        super().__init__(
            f"cannot serve metrics on {host}:{port}: {problem}; choose another metrics_port "
            "(worker i takes metrics_port + i)"
        )


class LifelineError(ServeError):
    """A worker was started by hand, or by a supervisor of another version."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"a worker is started by `sendwise serve` alone: {problem}")


class UnhealthyError(ServeError):
    """The service does not answer, or answers that it does not serve."""

    def __init__(self, address: str, problem: str) -> None:
        self.address = address
        self.problem = problem
        super().__init__(f"{address} is not serving: {problem}")
