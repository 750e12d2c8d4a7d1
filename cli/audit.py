"""`sendwise verify`, `ledger`: whether the log is what it should be."""

from dataclasses import asdict

import typer

from cli.opening import Scope, source
from cli.options import DEFAULT_DATA_DIR, CatalogFile, DataDir, Format, OutputFormat
from cli.output import line, progress, show, table
from replay.ledger import Ledger
from replay.ledger import ledger as reconcile
from replay.verify import verify as recompute


def verify(data: DataDir = DEFAULT_DATA_DIR, form: OutputFormat = Format.TEXT) -> None:
    """Recompute every logged probability and draw.

    Fails if one differs.
    """
    with source(data, Scope()) as found, progress("Verifying", found.size) as advance:
        result = recompute(found.log, found.registry, advance)
    facts = {
        "decisions": result.decisions,
        "exact": result.exact,
        "mismatched": result.mismatched,
        "mismatches": [asdict(mismatch) for mismatch in result.mismatches],
    }

    def text() -> None:
        line(f"{result.exact:,} of {result.decisions:,} decisions recomputed exactly")
        for mismatch in result.mismatches:
            line(f"{mismatch.decision_id}: {mismatch.reason}")

    show(facts, form, text)
    raise typer.Exit(1 if result.mismatched else 0)


def ledger(
    data: DataDir = DEFAULT_DATA_DIR,
    catalog: CatalogFile = None,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Reconcile the log: all that came in is counted once.

    Fails if it is not.
    """
    with source(data, Scope(catalog)) as found, progress("Counting", found.size) as advance:
        result = reconcile(found.log, found.catalog.reward, advance)
    facts = {**asdict(result), "balanced": result.balanced}
    show(facts, form, lambda: _text(result))
    raise typer.Exit(0 if result.balanced else 1)


def _text(result: Ledger) -> None:
    rows = [(name.replace("_", " "), f"{count:,}") for name, count in asdict(result).items()]
    table(("", "count"), rows)
    line("balanced" if result.balanced else "NOT balanced: the log has lost or doubled something")
