"""The `sendwise` command, and how its mistakes end it."""

import sys

import typer

from cli.commands import Commands
from cli.key_ring import common_options
from cli.output import complain
from decisionlog import DecisionLogError
from policy.errors import PolicyError
from replay.errors import ReplayError
from server.serve_errors import ServeError

app = typer.Typer(
    cls=Commands,
    help="Decides which offer to send, on which channel, and when; learns from what follows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.callback()(common_options)


def main() -> None:
    """Runs the command line; what a person can mend ends it with one clear line, exit code 1."""
    try:
        app(prog_name="sendwise")
    except (PolicyError, DecisionLogError, ReplayError, ServeError) as error:
        complain(str(error))
        sys.exit(1)
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        sys.exit(1)
