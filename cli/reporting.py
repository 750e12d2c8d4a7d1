"""`sendwise report`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.opening import Scope, now, releases, source
from cli.options import (
    DEFAULT_DATA_DIR,
    AsOf,
    CatalogFile,
    DataDir,
    Format,
    OutputFormat,
    Processes,
    Since,
    Until,
    UntilId,
)
from cli.output import line, progress, share_progress, show
from cli.reward_models import fitted
from cli.together import refuse_useless
from replay.predictions import Predictions
from replay.report_data import ReportData
from replay.reward_models import MODELS
from replay.reward_models.crossfit import FOLDS
from replay.summary import READINGS, Subject, default_policies, report_facts, summarise
from replay.table_report import summarise_table

ON_TABLE_REPORTS = frozenset({"file", "out", "form"})


def report(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    *,
    data: DataDir = DEFAULT_DATA_DIR,
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
    file: Annotated[
        Path | None,
        typer.Option("--table", help="Report on a table (Parquet or CSV, as `evaluate`) instead."),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="A version to evaluate; may be repeated.",
            show_default="uniform, every fixed offer, the champion",
        ),
    ] = None,
    segment: Annotated[
        list[str] | None,
        typer.Option(
            help="A feature of the request for the tables of metrics; may be repeated.",
            show_default="some with a few values",
        ),
    ] = None,
    reward_model: Annotated[
        str | None,
        typer.Option(
            help=f"Show doubly robust values, with one of {', '.join(MODELS)}, and how well it "
            "foresaw."
        ),
    ] = None,
    catalog: CatalogFile = None,
    as_of: AsOf = None,
    since: Since = None,
    until: Until = None,
    until_id: UntilId = None,
    processes: Processes = None,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Write all findings to one HTML file.

    Policies, prediction against what came true, course, metrics, verification; and the ledger,
    which is always of the whole log.
    """
    # Drawing takes a second to import, which no other command should have to wait for.
    from replay.report import write_report  # noqa: PLC0415

    if file is not None:
        refuse_useless(context, "--table", ON_TABLE_REPORTS)
        with share_progress("Reading") as advance:
            of_table = summarise_table(file, now(), advance)
        write_report(of_table, out)
        _show_report(of_table, out, form)
        return

    champion = releases(data).present().champion
    with source(data, Scope(catalog, as_of, since, until, until_id=until_id)) as found:
        subject = Subject(
            title=found.catalog.name,
            champion=champion,
            predicted=Predictions(data).read(champion),
            policies=policy or default_policies(found.catalog, champion),
            reward_model=fitted(found, reward_model, FOLDS),
            segments=None if segment is None else tuple(dict.fromkeys(segment)),
        )
        with progress("Reporting", READINGS * found.size) as advance:
            gathered = summarise(found, subject, now(), advance, processes=processes)
    write_report(gathered, out)
    _show_report(gathered, out, form)


def _show_report(data: ReportData, out: Path, form: Format) -> None:
    facts = {"report": str(out), **report_facts(data)}
    show(facts, form, lambda: line("\n".join([*data.headlines, f"see {out}"])))
