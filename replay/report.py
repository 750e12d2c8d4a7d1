"""The report: one HTML file that needs no network, written whole or not at all."""

from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from policy.files import write_atomically
from replay import plots
from replay.formats import Formats, count, level, percent
from replay.metrics.reading import PER_SUBJECT
from replay.metrics.results import MetricTable
from replay.metrics.words import figure
from replay.report_data import ReportData

_LEFT_TO_JSON = frozenset({"precision@3", "ndcg@1"})


def write_report(data: ReportData, path: Path) -> None:
    """Write the report; a reader sees the old file or the new one, never a part.

    Raises:
        OSError: The file cannot be written.
    """
    write_atomically(path, render_report(data))


def render_report(data: ReportData) -> str:
    """The report as HTML; the same text for the same data."""
    template = _environment().get_template("report.html.j2")
    return template.render(
        columns=_columns, data=data, formats=Formats(data.unit), drawings=_drawings(data)
    )


def _environment() -> Environment:
    """Templates that escape whatever a name or a reason may hold, and stop at a misspelt field."""
    environment = Environment(
        loader=PackageLoader("replay"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=count, level=level, moment=_moment, figure=_figure, share=percent
    )
    return environment


def _drawings(data: ReportData) -> dict[str, Markup]:
    """The plots that the data allow; safe as markup, since `plots` escapes what it is given."""
    drawn = {}
    if data.policies:
        drawn["policies"] = plots.policies_plot(data)
    if data.prediction is not None:
        drawn["prediction"] = plots.prediction_plot(data.prediction, Formats(data.unit))
    if any(row.weights is not None for row in data.policies):
        drawn["weights"] = plots.weights_plot(data.policies)
    if any(series.points for series in data.reward_over_log):
        filled = [series for series in data.reward_over_log if series.points]
        drawn["reward"] = plots.reward_plot(filled, Formats(data.unit))
    if data.ess_over_log:
        drawn["ess"] = plots.ess_plot(data.ess_over_log)
    if data.delays is not None and any(data.delays.counts):
        drawn["delays"] = plots.delays_plot(data.delays)
    if data.reward_model is not None and data.reward_model.bins:
        drawn["reliability"] = plots.reliability_plot(data.reward_model, Formats(data.unit))
    return {name: Markup(svg) for name, svg in drawn.items()}  # noqa: S704 - escaped where drawn


def _columns(table: MetricTable, dimension: str) -> list[str]:
    """Metrics that a reader gets a column of.

    Those by subject only where each subject belongs to one group, and one of each measure of the
    ranking.
    """
    is_whole = dimension == "arm"
    return [
        name
        for name in table.overall.cells
        if name not in _LEFT_TO_JSON and (is_whole or name not in PER_SUBJECT.values())
    ]


def _figure(value: float, metric: str) -> str:
    """A number of a metric."""
    return figure(metric, value)


def _moment(moment: datetime) -> str:
    """A moment for people, in UTC."""
    return f"{moment.astimezone(UTC):%d %B %Y, %H:%M} UTC"
