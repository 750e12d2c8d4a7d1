"""What the operator may set, what each worker is told, and the checks of both."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass

from decisionlog import RingSource, no_keys, ring_file
from decisionlog.upkeep import DAYS_MAX, DEFAULT_REQUEST_DAYS
from policy.plain_words import plain
from server.serve_errors import InvalidSettingError

PORT_MAX = 65_535
WORKERS_MAX = 1_024
DEFAULT_PORT = 50_051
DEFAULT_MAP_SIZE_BYTES = 256 * 2**30

Port = Annotated[int, Field(ge=0, le=PORT_MAX)]


def available_cores() -> list[int]:
    """Numbers of the cores that this process may use, ascending."""
    return sorted(os.sched_getaffinity(0))


def _first_problem(error: ValidationError) -> InvalidSettingError:
    """The first of pydantic's findings, as an operator would put it."""
    first = error.errors()[0]
    setting = ".".join(str(part) for part in first["loc"]) or "settings"
    given = "" if first["type"] in {"missing", "value_error"} else f" (it is {first['input']!r})"
    problem = plain(first)
    head, separator, tail = problem.partition(": ")
    if first["type"] == "value_error" and not first["loc"] and separator:
        return InvalidSettingError(head, tail)
    return InvalidSettingError(setting, problem + given)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ServeSettings:
    """The settings of `sendwise serve`; made by `create`, which raises domain errors."""

    data_dir: Path
    """Directory of the log, the models and the rollout; one server a directory."""
    key_file: Path
    """File of the key under which subjects are stored; outside `data_dir`."""
    key_ring: Path | None = None
    """File of the keys of an encrypted log, which need not be there; None encrypts nothing."""
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Name or address of the interface to listen on."""
    port: Port = DEFAULT_PORT
    """Port to listen on; 0 takes a free one."""
    workers: Annotated[int, Field(ge=1, le=WORKERS_MAX)] = Field(
        default_factory=lambda: len(available_cores())
    )
    """Number of worker processes; by default one a core."""
    threads: Annotated[int, Field(ge=1, le=1_024)] = 64
    """Calls that one worker handles at a time."""
    grace_seconds: Annotated[float, Field(ge=0, le=3_600)] = 10.0
    """Time that calls in flight are given to finish when the service stops."""
    token_file: Path | None = None
    """File of the tokens that callers must bring; None lets everyone in."""
    metrics_port: Port | None = None
    """Worker i answers Prometheus on this port + i; None measures nothing."""
    otlp_endpoint: str | None = None
    """Where traces go, such as http://127.0.0.1:4317; None traces nothing."""
    trace_ratio: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of calls to trace, of those whose caller has not decided that already."""
    map_size_bytes: Annotated[int, Field(ge=2**20)] = DEFAULT_MAP_SIZE_BYTES
    """Largest size of the log; the file is sparse and grows to it."""
    retain_days: Annotated[float, Field(gt=0, le=DAYS_MAX)] | None = None
    """Decisions older than this are removed while serving; None keeps them for ever."""
    retain_bytes: Annotated[int, Field(ge=2**16)] | None = None
    """Where more of the log is in use, its oldest decisions are removed; None sets no limit."""
    request_days: Annotated[float, Field(gt=0, le=DAYS_MAX)] = DEFAULT_REQUEST_DAYS
    """For so long a repeated request gets its first answer again."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged."""
    log_format: Literal["text", "json"] = "text"
    """Form of a line of the process's own log on stderr."""

    @property
    def record_keys(self) -> RingSource:
        """Gives the keys of the log's records, as the file has them now."""
        if self.key_ring is None:
            return no_keys
        return ring_file(self.key_ring, data_directory=self.data_dir)

    @property
    def streams_max(self) -> int:
        """Streams that one worker has open at a time.

        An open stream holds a thread, idle or not: the other half stays free for calls.
        """
        return max(1, self.threads // 2)

    @classmethod
    def create(cls, **settings: Any) -> Self:  # noqa: ANN401 - the checks below are the types
        """Makes checked settings from what the command line or a test gives.

        Raises:
            InvalidSettingError: naming the first setting that is wrong and what it should be.
        """
        try:
            return cls(**settings)
        except ValidationError as error:
            raise _first_problem(error) from None

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_url(cls, endpoint: str | None) -> str | None:
        """Without its scheme the exporter would guess whether to use TLS."""
        if endpoint is not None:
            parts = urlsplit(endpoint)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("should look like http://127.0.0.1:4317, or https:// for TLS")
        return endpoint

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Refuses settings that are right one by one but not together."""
        if self.trace_ratio > 0 and self.otlp_endpoint is None:
            raise ValueError("trace_ratio: needs otlp_endpoint, where the traces are to go")
        if self.metrics_port == 0:
            raise ValueError("metrics_port: should be a fixed port, since Prometheus must know it")
        if self.metrics_port is not None:
            self._check_metrics_ports(self.metrics_port)
        if self.key_file.resolve().is_relative_to(self.data_dir.resolve()):
            raise ValueError("key_file: should be outside data_dir, so that no backup holds both")
        return self

    def _check_metrics_ports(self, first: int) -> None:
        """One port a worker, none of them above the last or equal to the service's own."""
        last = first + self.workers - 1
        if last > PORT_MAX:
            raise ValueError(f"metrics_port: {self.workers} workers need ports up to {last}")
        if first <= self.port <= last:
            raise ValueError(f"metrics_port: ports {first} to {last} include the service's own")


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class WorkerSettings(ServeSettings):
    """What one worker is told, on the first line of its standard input."""

    index: Annotated[int, Field(ge=0, lt=WORKERS_MAX)]
    """Number of the worker, from 0."""

    @classmethod
    def of(cls, settings: ServeSettings, *, index: int, port: int) -> Self:
        """The settings of worker `index` of a server that listens on `port`."""
        return cls(**{**asdict(settings), "index": index, "port": port})

    @classmethod
    def from_json(cls, line: bytes) -> Self:
        """Reads what `to_json` wrote.

        Raises:
            InvalidSettingError: if the line is not the JSON object of such settings.
        """
        try:
            return TypeAdapter(cls).validate_json(line)
        except ValidationError as error:
            raise _first_problem(error) from None

    def to_json(self) -> bytes:
        """One line without its end."""
        return TypeAdapter(type(self)).dump_json(self)
