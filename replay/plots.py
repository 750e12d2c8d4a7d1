"""The report's plots, drawn by matplotlib and handed over as SVG for the page."""

import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from replay.estimate import Estimate
from replay.formats import Formats, count, percent
from replay.histogram import Bins
from replay.report_data import Delays, PolicyRow, Prediction, ReportData, Series, Shares
from replay.reward_models.calibration import CalibrationSummary
from replay.svg import COLOURS, inline_svg

_WIDTH_IN = 4.9
"""Drawn for a phone: 350 px, at which its text has the size given here; wider pages scale it up."""

_SERIES = tuple(COLOURS[f"series-{number}"] for number in range(1, 6))
_MAX_PANELS = 6
_MAX_WEIGHT_TICKS = 7
_NAME_LENGTH = 28
_MARK_IN, _LETTER_IN = 0.55, 0.085
"""Room that a line's mark and a letter of its name take in a legend, about."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, selectable, in the page's own font
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "axes.edgecolor": COLOURS["grid"],
    "axes.facecolor": "none",
    "axes.labelcolor": COLOURS["muted"],
    "axes.grid": True,
    "axes.grid.axis": "x",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "figure.facecolor": "none",
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 1,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["grid"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.color": COLOURS["grid"],
    "ytick.labelcolor": COLOURS["muted"],
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "axes.labelsize": 11,
}


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a forest plot."""

    label: str
    estimate: Estimate | None
    """None: `note` stands where the value would."""
    note: str
    colour: str


def policies_plot(data: ReportData) -> str:
    """Every policy's value with its interval, and the logging policy's as a reference line."""
    lines = [_policy_line(row, Formats(data.unit)) for row in data.policies]
    with _figure(0.56 * len(lines) + 0.4, "policies") as (figure, finish):
        axes = figure.subplots()
        _forest(axes, lines, Formats(data.unit), data.logging.value)
        return finish(
            "Policies with their intervals",
            f"{_spoken(lines)} The line marks the logging policy at "
            f"{Formats(data.unit).value(data.logging)}.",
        )


def prediction_plot(prediction: Prediction, formats: Formats) -> str:
    """The value predicted before the policy ran, above the one that was realised."""
    lines = [
        _Line("predicted", prediction.predicted, formats.value(prediction.predicted), _SERIES[0]),
        _Line("realised", prediction.realised, formats.value(prediction.realised), _SERIES[1]),
    ]
    with _figure(0.56 * len(lines) + 0.4, "prediction") as (figure, finish):
        _forest(figure.subplots(), lines, formats, None)
        return finish("Predicted and realised value", _spoken(lines))


def weights_plot(policies: Sequence[PolicyRow]) -> str:
    """The distribution of each policy's importance weights, on a logarithmic axis."""
    panels = [(row.name, row.weights) for row in policies if row.weights is not None][:_MAX_PANELS]
    with _figure(0.85 * len(panels) + 0.5, "weights") as (figure, finish):
        column = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, bins) in zip(column, panels, strict=True):
            _histogram(axes, name, bins)
        _weight_axis(column[-1], [bins.trimmed().edges for _, bins in panels])
        column[-1].set_xlabel("importance weight (1 where both policies agree)")
        return finish("Distribution of importance weights", _spoken_weights(panels))


def reward_plot(series: Sequence[Series], formats: Formats) -> str:
    """Mean reward over the log, one line an arm, with bands for the intervals."""
    with _figure(2.9, "reward") as (figure, finish):
        axes = figure.subplots()
        axes.grid(visible=True, axis="y")
        for number, one in enumerate(series):
            _curve(axes, one, _SERIES[number % len(_SERIES)])
        _reward_axes(axes, series, formats)
        return finish("Mean reward over the log", _spoken_series(series, formats))


def ess_plot(shares: Sequence[Shares]) -> str:
    """Effective sample over the log, as a share of each stretch's interactions."""
    with _figure(2.7, "ess") as (figure, finish):
        axes = figure.subplots()
        axes.grid(visible=True, axis="y")
        for number, one in enumerate(shares[: len(_SERIES)]):
            xs = [point.decisions for point in one.points]
            ys = [point.share for point in one.points]
            colour = _SERIES[number]
            axes.plot(
                xs, ys, color=colour, linewidth=2, marker="o", markersize=4, label=_short(one.name)
            )
        axes.set_ylim(0, 1.05)
        axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1.0]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _position: percent(value)))
        _log_axis(axes, len(shares) > 1)
        return finish("Effective sample over the log", _spoken_shares(shares))


def delays_plot(delays: Delays) -> str:
    """When rewards come, in parts of the attribution window."""
    with _figure(2.2, "delays") as (figure, finish):
        axes = figure.subplots()
        axes.grid(visible=True, axis="y")
        width = delays.days / len(delays.counts)
        total = sum(delays.counts) or 1
        heights = [number / total for number in delays.counts]
        starts = [width * part for part in range(len(heights))]
        axes.bar(
            starts,
            heights,
            width,
            align="edge",
            color=_SERIES[2],
            edgecolor=COLOURS["surface"],
            linewidth=1.5,
        )
        axes.set_xlim(0, delays.days)
        axes.set_xlabel("days after the decision")
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _position: percent(value)))
        axes.tick_params(length=0)
        axes.tick_params(axis="x", pad=8)  # the first number must not meet that of the other axis
        first = percent(heights[0])
        return finish("Delay of rewards", f"{first} come in the first {width:.3g} days.")


def reliability_plot(model: CalibrationSummary, formats: Formats) -> str:
    """What came against what a reward model foresaw; a model that is right lies on the line."""
    with _figure(3.0, "reliability") as (figure, finish):
        axes = figure.subplots()
        axes.grid(visible=True, axis="both")
        xs = [one.foreseen for one in model.bins]
        ys = [one.came for one in model.bins]
        low, high = min([*xs, *ys, 0.0]), max([*xs, *ys, 0.0]) * 1.08 or 1.0
        axes.plot([low, high], [low, high], color=COLOURS["muted"], linestyle=(0, (3, 2)))
        for one in model.bins:
            ends = [one.came - 2 * one.error, one.came + 2 * one.error]
            axes.plot([one.foreseen] * 2, ends, color=_SERIES[3], linewidth=3, alpha=0.35)
        axes.plot(xs, ys, color=_SERIES[3], linewidth=1.5, marker="o", markersize=5)
        axes.set_xlabel("foreseen")
        axes.set_ylabel("came")
        for axis in (axes.xaxis, axes.yaxis):
            _value_axis(axis, formats)
        axes.tick_params(length=0)
        pairs = zip(xs, ys, strict=True)
        return finish(
            "Reliability of the reward model",
            "; ".join(f"foreseen {x:.3g}, came {y:.3g}" for x, y in pairs) + ".",
        )


@contextmanager
def _figure(height_in: float, name: str) -> Iterator[tuple[Figure, Callable[[str, str], str]]]:
    """A figure in the report's style, and what turns it into markup."""
    style = {**_STYLE, "svg.hashsalt": name}
    with mpl.rc_context(style), warnings.catch_warnings():
        # Names may be written in scripts that the measuring font lacks; the page's font draws them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")

        def finish(title: str, description: str) -> str:
            return inline_svg(_svg(figure), name, title, description)

        yield figure, finish


def _svg(figure: Figure) -> str:
    """The figure as SVG text, the same for the same data."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _policy_line(row: PolicyRow, formats: Formats) -> _Line:
    shown = row.shown
    note = formats.value(shown) if shown is not None else "no estimate: refused"
    return _Line(row.name, shown, note, _SERIES[0])


def _forest(axes: Axes, lines: Sequence[_Line], formats: Formats, reference: float | None) -> None:
    """Lines from the top down: name and value above, interval below."""
    low, high = _range(lines, reference)
    for place, line in enumerate(lines):
        _forest_line(axes, line, -place, (low, high))
        if reference is not None and line.estimate is not None:
            # In pieces, so that it crosses no name.
            piece = [-place - 0.24, -place + 0.18]
            axes.plot([reference] * 2, piece, color=COLOURS["muted"], linestyle=(0, (3, 2)))
    axes.set_xlim(low, high)
    axes.set_ylim(0.62 - len(lines), 0.72)
    axes.yaxis.set_major_locator(NullLocator())
    _value_axis(axes.xaxis, formats)
    axes.tick_params(length=0)


def _value_axis(axis: Axis, formats: Formats) -> None:
    """Few ticks, written as exactly as their distance asks for."""
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(formats.ticks(axis.get_majorticklocs().tolist())))


def _forest_line(axes: Axes, line: _Line, y: float, limits: tuple[float, float]) -> None:
    """One line of a forest plot; an end that is unknown runs to the edge."""
    across = axes.get_yaxis_transform()
    axes.text(0, y + 0.36, _short(line.label), transform=across, va="center", fontweight="bold")
    colour = COLOURS["ink"] if line.estimate else COLOURS["muted"]
    axes.text(1, y + 0.36, line.note, transform=across, va="center", ha="right", color=colour)
    if line.estimate is None:
        return
    low, high = (min(max(end, limits[0]), limits[1]) for end in line.estimate.interval)
    axes.plot([low, high], [y, y], color=line.colour, linewidth=4, alpha=0.35)
    axes.plot([low, high], [y, y], color=line.colour, linewidth=0, marker="|", markersize=11)
    axes.plot([line.estimate.value], [y], color=line.colour, marker="o", markersize=7)


def _range(lines: Sequence[_Line], reference: float | None) -> tuple[float, float]:
    """Limits of the axis: every finite value and end, with a little room."""
    shown = [line.estimate for line in lines if line.estimate is not None]
    values = [value for one in shown for value in (one.value, *one.interval)]
    finite = [value for value in [*values, reference] if value is not None and math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    room = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
    return low - room, high + room


def _histogram(axes: Axes, name: str, bins: Bins) -> None:
    """Bars of one policy's weights, as shares of all its interactions."""
    trimmed, total = bins.trimmed(), sum(bins.counts) + bins.zeros or 1
    widths = [high - low for low, high in zip(trimmed.edges, trimmed.edges[1:], strict=False)]
    heights = [number / total for number in trimmed.counts]
    axes.bar(
        trimmed.edges[:-1],
        heights,
        widths,
        align="edge",
        color=_SERIES[0],
        edgecolor=COLOURS["surface"],
        linewidth=1.5,
    )
    axes.set_xscale("log")
    axes.set_ylim(0, max(heights, default=1.0) * 1.75 or 1.0)
    axes.yaxis.set_major_locator(NullLocator())
    axes.tick_params(length=0)
    _captions(axes, name, bins, total)


def _weight_axis(axes: Axes, edges: Sequence[Sequence[float]]) -> None:
    """Ticks at the edges of bins, as many as there is room for, 1 among them if it is there."""
    low, high = min(each[0] for each in edges), max(each[-1] for each in edges)
    powers = range(round(math.log2(low)), round(math.log2(high)) + 1)
    step = math.ceil(len(powers) / _MAX_WEIGHT_TICKS)
    ticks = [2.0**power for power in powers if power % step == 0]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: _power(value)))


def _power(value: float) -> str:
    """A power of two, short: those below 1 as a fraction."""
    return f"1/{1 / value:,.0f}" if value < 1 else f"{value:,.0f}"


def _captions(axes: Axes, name: str, bins: Bins, total: int) -> None:
    """The policy's name and its share of weights that are zero, above its bars."""
    place: dict[str, Any] = {"transform": axes.transAxes, "va": "top"}
    axes.text(0, 0.98, _short(name), fontweight="bold", **place)
    if bins.zeros:
        note = f"{percent(bins.zeros / total)} weigh zero"
        axes.text(1, 0.98, note, ha="right", color=COLOURS["muted"], **place)


def _curve(axes: Axes, series: Series, colour: str) -> None:
    """One arm's means and their band; a mean without an interval keeps its point."""
    xs = [point.decisions for point in series.points]
    values = [point.estimate.value for point in series.points]
    lows, highs = zip(*(_finite_interval(point.estimate) for point in series.points), strict=True)
    axes.fill_between(xs, lows, highs, color=colour, alpha=0.15, linewidth=0)
    axes.plot(
        xs, values, color=colour, linewidth=2, marker="o", markersize=4, label=_short(series.name)
    )


def _finite_interval(estimate: Estimate) -> tuple[float, float]:
    low, high = estimate.interval
    return (low, high) if math.isfinite(high - low) else (estimate.value, estimate.value)


def _reward_axes(axes: Axes, series: Sequence[Series], formats: Formats) -> None:
    _value_axis(axes.yaxis, formats)
    _log_axis(axes, len(series) > 1)


def _log_axis(axes: Axes, has_legend: bool) -> None:  # noqa: FBT001 - whether there is something to tell apart
    """The axis along the log, and names of the lines above it."""
    axes.set_xlabel("decisions logged")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: count(value)))
    axes.tick_params(length=0)
    if has_legend:
        names = axes.get_legend_handles_labels()[1]
        room = _MARK_IN + _LETTER_IN * max(map(len, names))
        columns = min(max(int(_WIDTH_IN / room), 1), 3)
        axes.figure.legend(loc="outside upper left", ncols=columns, frameon=False, fontsize=11)


def _short(name: str) -> str:
    """A name that fits into a plot; the table beside it has the whole."""
    plain = " ".join(name.split())
    return plain if len(plain) <= _NAME_LENGTH else plain[: _NAME_LENGTH - 1] + "…"


def _spoken(lines: Sequence[_Line]) -> str:
    """The lines in words, for those who cannot see them."""
    return "; ".join(f"{line.label}: {line.note}" for line in lines) + "."


def _spoken_weights(panels: Sequence[tuple[str, Bins]]) -> str:
    ranges = [(name, bins.trimmed().edges) for name, bins in panels]
    return "; ".join(f"{name}: from {e[0]:g} to {e[-1]:g}" for name, e in ranges) + "."


def _spoken_shares(shares: Sequence[Shares]) -> str:
    words = (
        f"{one.name}: {percent(one.points[0].share)} at first, {percent(one.points[-1].share)} "
        "at last"
        for one in shares
    )
    return "; ".join(words) + "."


def _spoken_series(series: Sequence[Series], formats: Formats) -> str:
    ends = [(one.name, one.points[0].estimate, one.points[-1].estimate) for one in series]
    words = (
        f"{name}: {formats.value(a)} at first, {formats.value(z)} at last" for name, a, z in ends
    )
    return "; ".join(words) + "."
