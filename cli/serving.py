"""`sendwise serve`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.key_ring import ring_path, ring_source
from cli.opening import key_file_of
from cli.options import (
    DEFAULT_DATA_DIR,
    GIB_MAX,
    GIB_MIN,
    DataDir,
    KeyFile,
    RequestDays,
    RetainDays,
    RetainGib,
)
from decisionlog.upkeep import DEFAULT_REQUEST_DAYS
from server.logs import configure
from server.preparation import prepare
from server.settings import DEFAULT_PORT, ServeSettings, available_cores
from server.supervisor import serve as supervise


def serve(  # noqa: PLR0913 - one parameter an option
    *,
    data: DataDir = DEFAULT_DATA_DIR,
    catalog: Annotated[
        Path | None,
        typer.Option(help="Catalog to put into force.", show_default="the one in force"),
    ] = None,
    key_file: KeyFile = None,
    host: Annotated[str, typer.Option(help="Interface to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes a free one.")
    ] = DEFAULT_PORT,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes.", show_default="one a core")
    ] = None,
    threads: Annotated[int, typer.Option(help="Calls that a worker handles at a time.")] = 64,
    grace_seconds: Annotated[
        float, typer.Option(help="Time for calls in flight when the service stops.")
    ] = 10.0,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File of bearer tokens, one a line.", show_default="everyone may call"),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Worker i answers Prometheus on this port + i.", show_default="off"),
    ] = None,
    otlp_endpoint: Annotated[
        str | None,
        typer.Option(help="Where traces go, such as http://127.0.0.1:4317.", show_default="off"),
    ] = None,
    trace_ratio: Annotated[float, typer.Option(help="Share of the calls to trace.")] = 0.0,
    map_size_gib: Annotated[
        float, typer.Option(help="Largest size of the log.", min=GIB_MIN, max=GIB_MAX)
    ] = 256.0,
    retain_days: RetainDays = None,
    retain_gib: RetainGib = None,
    request_days: RequestDays = DEFAULT_REQUEST_DAYS,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option(help="Least severity logged.")
    ] = "info",
    log_format: Annotated[Literal["text", "json"], typer.Option(help="Form of the log.")] = "text",
) -> None:
    """Serve decisions over gRPC until SIGTERM."""
    settings = ServeSettings.create(
        data_dir=data,
        key_file=key_file_of(data, key_file),
        key_ring=ring_path(data),
        host=host,
        port=port,
        workers=len(available_cores()) if workers is None else workers,
        threads=threads,
        grace_seconds=grace_seconds,
        token_file=token_file,
        metrics_port=metrics_port,
        otlp_endpoint=otlp_endpoint,
        trace_ratio=trace_ratio,
        map_size_bytes=int(map_size_gib * 2**30),
        retain_days=retain_days,
        retain_bytes=None if retain_gib is None else int(retain_gib * 2**30),
        request_days=request_days,
        log_level=log_level,
        log_format=log_format,
    )
    ring_source(data)()  # a ring that was named must be there
    configure(level=log_level, form=log_format)
    code = supervise(settings, on_locked=lambda: prepare(settings, catalog))
    raise typer.Exit(code)
