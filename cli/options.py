"""Options that several commands share."""

import re
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from server.serve_errors import InvalidSettingError


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


GIB_MIN, GIB_MAX = 0.001, 131_072.0
"""Sizes of a log: from what an empty one takes to what a process can address."""

DataDir = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar="SENDWISE_DATA",
        help="Directory of the log, the models and the rollout.",
        show_envvar=True,
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        envvar="SENDWISE_KEY_FILE",
        help="File of the secret key; beside the data directory if not given.",
        show_default="DATA.key",
    ),
]
CatalogFile = Annotated[
    Path | None,
    typer.Option(
        "--catalog",
        help="Catalog file whose reward counts; the catalog in force if not given.",
        show_default="the one in force",
    ),
]
OutputFormat = Annotated[Format, typer.Option("--format", help="How results are printed.")]
AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        help="Look from this moment (UTC): what came later is not seen, and attribution windows "
        "that close later are still open.",
        show_default="now",
    ),
]
Since = Annotated[datetime | None, typer.Option(help="Only decisions from this moment on (UTC).")]
Until = Annotated[datetime | None, typer.Option(help="Only decisions before this moment (UTC).")]
UntilId = Annotated[
    str | None, typer.Option(help="Only decisions up to this one, by its id.", show_default="all")
]
Processes = Annotated[
    int | None,
    typer.Option(
        help="Processes to read a large log with; the result is the same for any number.",
        min=1,
        show_default="one a core",
    ),
]
RetainDays = Annotated[
    float | None,
    typer.Option(
        "--retain-days",
        help="Remove decisions that are older than this, with all that hangs on them.",
        show_default="keep all",
    ),
]
RetainGib = Annotated[
    float | None,
    typer.Option(
        "--retain-gib",
        help="Remove the oldest decisions where more of the log's file is in use.",
        min=GIB_MIN,
        max=GIB_MAX,
        show_default="no limit",
    ),
]
RequestDays = Annotated[
    float,
    typer.Option(
        "--request-days",
        help="Forget request ids after this; a repeat then counts as a new request.",
    ),
]
DEFAULT_DATA_DIR = Path("sendwise-data")


def in_options(error: InvalidSettingError) -> str:
    """What is wrong with a setting, under the names by which it is set here."""
    problem = re.sub(r"\b[a-z]+_[a-z]+\b", lambda found: option_of(found[0]), error.problem)
    return f"{option_of(error.setting)}: {problem}"


def option_of(setting: str) -> str:
    """The option that sets something, such as `--metrics-port` for `metrics_port`."""
    return "--data" if setting == "data_dir" else f"--{setting.replace('_', '-')}"
