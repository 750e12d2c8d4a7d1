"""Draws the learning curves of runs into a picture of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from replay.simulator.errors import PictureFormatError
from replay.simulator.run import Simulation

FORMATS = ("svg", "png", "pdf")
_SIZE_IN = (7.2, 4.6)
# Okabe and Ito's colours, told apart by people of every colour vision, and dashes besides.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", "-.", ":")
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "curves",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "font.size": 11,
}


def write_curves(runs: Sequence[tuple[str, Simulation]], path: Path) -> None:
    """Writes one picture with the captured share of each run, step by step, by its name.

    A point is the share of its own step alone, so that one sees how good a learner is by then, and
    not how bad it was. The same runs give the same file.

    Args:
        runs: name and run, at least one; all in the same world.
        path: the file; its ending, one of `FORMATS`, says what kind it is.

    Raises:
        PictureFormatError: if the ending is another one.
        OSError: if the file cannot be written.
    """
    check_picture(path)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE_IN, layout="constrained")
        axes = figure.subplots()
        for number, (name, run) in enumerate(runs):
            _curve(axes, number, name, run)
        _dress(axes, runs[0][1].world)
        figure.savefig(path, dpi=150, metadata=_undated(path))


def check_picture(path: Path) -> None:
    """Checks that a file's ending names a kind of picture that can be written.

    Raises:
        PictureFormatError: if it does not.
    """
    if path.suffix.lower().removeprefix(".") not in FORMATS:
        raise PictureFormatError(path, FORMATS)


def _curve(axes: Axes, number: int, name: str, run: Simulation) -> None:
    steps = list(zip(run.curve, run.curve[1:], strict=False))
    axes.plot(
        [end.rounds for _, end in steps],
        [end.since(start) for start, end in steps],
        color=_COLOURS[number % len(_COLOURS)],
        linestyle=_DASHES[number // len(_COLOURS) % len(_DASHES)],
        marker="o",
        markersize=3.5,
        label=f"{name}: {run.captured:.2f} over all",
    )


def _dress(axes: Axes, world: str) -> None:
    axes.set_title(f"Share of what there is to earn, in the world {world!r}", loc="left")
    axes.set_xlabel("decisions")
    axes.set_ylabel("captured: 0 chance, 1 the best")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:,.0f}"))
    axes.axhline(0.0, color="#888888", linewidth=0.8)
    axes.set_ylim(top=1.0)
    axes.figure.legend(loc="outside lower left", ncols=2, frameon=False)


def _undated(path: Path) -> dict[str, None]:
    """Leaves the moment of drawing out of the file, under the name that its kind has for it."""
    return {} if path.suffix.lower() == ".png" else {_DATES[path.suffix.lower()]: None}


_DATES = {".svg": "Date", ".pdf": "CreationDate"}
