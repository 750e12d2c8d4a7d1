"""The `sendwise` command."""

import sys

import typer

from cli import (
    audit,
    evaluating,
    exporting,
    keeping,
    learning,
    metrics,
    privacy,
    serving,
    simulation,
    transfer,
    vault,
)
from cli.key_ring import common_options
from cli.output import complain
from decisionlog import DecisionLogError
from policy.errors import PolicyError
from replay.errors import ReplayError
from server.serve_errors import ServeError

app = typer.Typer(
    help="Decides which offer to send, on which channel, and when; learns from what follows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.callback()(common_options)
for command in (
    serving.check,
    serving.serve,
    learning.train,
    evaluating.evaluate,
    metrics.metrics,
    evaluating.report,
    learning.models,
    learning.promote,
    learning.rollback,
    audit.verify,
    audit.ledger,
    audit.audit,
    privacy.erase,
    privacy.export_subject,
    keeping.retain,
    vault.check_log,
    vault.migrate,
    vault.rekey,
    exporting.export,
    transfer.backup,
    transfer.restore,
    simulation.simulate,
):
    app.command()(command)


def run() -> None:
    """Runs the command line; what a person can mend ends it with one clear line, exit code 1."""
    try:
        app(prog_name="sendwise")
    except (PolicyError, DecisionLogError, ReplayError, ServeError) as error:
        complain(str(error))
        sys.exit(1)
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        sys.exit(1)
