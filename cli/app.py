"""The `sendwise` command, and how its mistakes end it."""

import importlib.metadata
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.commands import Commands
from cli.key_ring import name_ring
from cli.options import in_options
from cli.output import complain, line, narrate
from decisionlog import DecisionLogError
from policy.errors import PolicyError
from replay.errors import ReplayError
from server.serve_errors import InvalidSettingError, ServeError

app = typer.Typer(
    cls=Commands,
    help="Decides which offer to send, on which channel, and when; learns from what follows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


def show_version(asked: bool) -> None:  # noqa: FBT001 - as Typer calls it
    """Prints the version of the program, if that was asked for, and ends it."""
    if asked:
        line(f"sendwise {importlib.metadata.version('sendwise')}")
        raise typer.Exit


@app.callback()
def common_options(
    *,
    key_ring: Annotated[
        Path | None,
        typer.Option(
            envvar="SENDWISE_KEY_RING",
            help="File of the keys of an encrypted log; beside the data directory if not given.",
            show_envvar=True,
            show_default="DATA.ring",
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback answers
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Take what every command understands."""
    name_ring(key_ring)


def main() -> None:
    """Runs the command line; what a person can mend ends it with one clear line, exit code 1."""
    narrate()
    try:
        app(prog_name="sendwise")
    except InvalidSettingError as error:
        complain(in_options(error))
        sys.exit(1)
    except (PolicyError, DecisionLogError, ReplayError, ServeError) as error:
        complain(str(error))
        sys.exit(1)
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        sys.exit(1)
