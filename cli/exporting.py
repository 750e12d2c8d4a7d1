"""`sendwise export`: the log as tables and lines that other programs read."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.opening import Scope, record_act, source
from cli.options import (
    DEFAULT_DATA_DIR,
    AsOf,
    CatalogFile,
    DataDir,
    Format,
    OutputFormat,
    Since,
    Until,
    UntilId,
)
from cli.output import line, progress, show
from decisionlog import AuditKind


def export(  # noqa: PLR0913 - one parameter an option
    *,
    data: DataDir = DEFAULT_DATA_DIR,
    parquet: Annotated[
        Path | None,
        typer.Option(help="Directory of tables, a part a day; days that are done are skipped."),
    ] = None,
    dsjson: Annotated[
        Path | None,
        typer.Option(help="File of lines for vw --dsjson --cb_explore_adf."),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="Also write a table that evaluates this policy (with --parquet); may be repeated."
        ),
    ] = None,
    catalog: CatalogFile = None,
    as_of: AsOf = None,
    since: Since = None,
    until: Until = None,
    until_id: UntilId = None,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Write the log as tables and lines for other programs.

    Whoever was erased is in none of it, and is taken out of tables that were written before.
    """
    # Tables take half a second to import, which no other command should have to wait for.
    from replay.export import export_days, export_dsjson  # noqa: PLC0415

    if parquet is None and dsjson is None:
        raise typer.BadParameter("name a place with --parquet or --dsjson")
    facts: dict[str, Any] = {}
    with source(data, Scope(catalog, as_of, since, until, until_id=until_id)) as found:
        targets = [found.target(version) for version in policy or []]
        passes = (parquet is not None) + (dsjson is not None)
        with progress("Exporting", passes * found.size) as advance:
            if parquet is not None:
                done = export_days(found, parquet, targets, advance)
                facts |= {
                    "parquet": str(parquet),
                    "days": done.written,
                    "skipped_days": done.skipped,
                    "cleaned_rows": done.cleaned,
                    "rows": dict(done.rows),
                    "stale_policies": done.stale,
                }
            if dsjson is not None:
                lines = export_dsjson(found.interactions(advance), dsjson)
                facts |= {"dsjson": str(dsjson), "lines": lines}
    places = {"parquet": parquet, "dsjson": dsjson}
    record_act(data, AuditKind.EXPORT, **{how: at for how, at in places.items() if at})
    show(facts, form, lambda: _say(facts))


def _say(facts: dict[str, Any]) -> None:
    if "parquet" in facts:
        rows = ", ".join(f"{count:,} {table}" for table, count in facts["rows"].items())
        line(
            f"{facts['parquet']}: {len(facts['days']):,} days written ({rows or 'nothing new'}), "
            f"{facts['skipped_days']:,} unchanged"
        )
        if facts["cleaned_rows"]:
            line(f"{facts['cleaned_rows']:,} rows of erased subjects taken out of earlier files")
        for name in facts["stale_policies"]:
            line(f"the table of {name} is older than the others: ask for it, too, with --policy")
    if "dsjson" in facts:
        line(f"{facts['dsjson']}: {facts['lines']:,} lines")
