"""`sendwise metrics`: rates and revenue by arm, offer, channel, hour and segment."""

from collections.abc import Sequence
from typing import Annotated

import typer

from cli.opening import Scope, source
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
from cli.output import line, progress, show, table
from replay.log_evaluation import LOGGING
from replay.metrics import DIMENSIONS, Group, MetricsPlan, MetricTable, kinds_of, measure
from replay.metrics.plan import DEFAULT_KS
from replay.metrics.ranking import K_MAX
from replay.metrics.words import cell_words, comparison_words
from replay.verdict import Verdict

Names = Annotated[
    list[str] | None,
    typer.Option(
        help="Name of a reward that counts as one; may be repeated.",
        show_default="the catalog's [metrics]",
    ),
]


def metrics(  # noqa: PLR0913 - one parameter an option
    *,
    data: DataDir = DEFAULT_DATA_DIR,
    by: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(DIMENSIONS)}; may be repeated.", show_default="arm"),
    ] = None,
    segment: Annotated[
        list[str] | None,
        typer.Option(help="A feature of the request to tell apart by; may be repeated."),
    ] = None,
    policy: Annotated[
        str,
        typer.Option(
            help="What the metrics would have been under this policy: a version, `uniform`, "
            "`fixed/OFFER[/CHANNEL]` or module:Class."
        ),
    ] = LOGGING,
    k: Annotated[
        list[int] | None,
        typer.Option(
            "--k",
            help="Offers at the top of the ranking, for precision@k and ndcg@k; may be repeated.",
            min=1,
            max=K_MAX,
            show_default=", ".join(map(str, DEFAULT_KS)),
        ),
    ] = None,
    click: Names = None,
    conversion: Names = None,
    revenue: Names = None,
    unsubscribe: Names = None,
    level: Annotated[
        float, typer.Option(help="Confidence level of the intervals.", min=0.5, max=0.9999)
    ] = 0.95,
    catalog: CatalogFile = None,
    as_of: AsOf = None,
    since: Since = None,
    until: Until = None,
    until_id: UntilId = None,
    processes: Processes = None,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Say what happened: rates, revenue and rankings by group."""
    asked = {
        "click": click or (),
        "conversion": conversion or (),
        "revenue": revenue or (),
        "unsubscribe": unsubscribe or (),
    }
    chosen = tuple(by or ([] if segment else ["arm"]))
    with source(data, Scope(catalog, as_of, since, until, until_id=until_id)) as opened:
        plan = MetricsPlan(
            kinds_of(opened.catalog, asked),
            tuple(dict.fromkeys(chosen)),
            tuple(dict.fromkeys(segment or ())),
            policy,
            tuple(sorted(set(k or DEFAULT_KS))),
        )
        with progress("Measuring", opened.size) as advance:
            found = measure(opened, plan, level, processes=processes, on_progress=advance)
    show(found.to_json(), form, lambda: _text(found))


def _text(found: MetricTable) -> None:
    for reason in found.reasons:
        line(f"{found.policy}: {found.verdict.value}: {reason}")
    if found.verdict is Verdict.REFUSE:
        line("metrics are withheld; --format json has the numbers beside the verdict")
        return
    _table("all", [found.overall])
    for dimension, groups in found.by.items():
        _table(dimension, groups)
    line(comparison_words(found))


def _table(title: str, groups: Sequence[Group]) -> None:
    """Metric by metric, so that groups stand below each other."""
    names = dict.fromkeys(name for group in groups for name in group.cells)
    rows = [
        (
            f"{name.replace('_', ' ')}",
            group.name,
            *cell_words(name, group.cells[name]),
            f"{group.n:,}",
        )
        for name in names
        for group in groups
        if name in group.cells
    ]
    table(("metric", title, "value", "interval", "n"), rows)
