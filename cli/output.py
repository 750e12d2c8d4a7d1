"""Prints results to standard output, and progress to standard error."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cli.options import Format

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False)


def show(result: Mapping[str, Any], form: Format, text: Callable[[], None]) -> None:
    """Prints a result as JSON, or in the words of `text`."""
    if form is Format.TEXT:
        text()
        return
    content = json.dumps(result, allow_nan=False)
    _out.print_json(content) if _out.is_terminal else print(content)  # noqa: T201


def printable(text: str) -> str:
    """A text of a caller's as it is, or quoted where it could forge another line."""
    return text if text.isprintable() else repr(text)


def line(text: str) -> None:
    """Prints a line of a result."""
    _out.print(text, markup=False)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> None:
    """Prints a table; the first column is words, the others are numbers."""
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        grid.add_column(column, justify="left" if index == 0 else "right", no_wrap=index == 0)
    for row in rows:
        grid.add_row(*row)
    _out.print(grid)


@contextmanager
def progress(task: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows a bar on standard error while the block runs; yields what moves it on.

    Not shown where standard error is no terminal: a file of bars helps nobody.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_err, disable=not _err.is_terminal, transient=True) as bar:
        task_id = bar.add_task(task, total=total)
        yield lambda count: bar.advance(task_id, count)


@contextmanager
def share_progress(task: str) -> Iterator[Callable[[int, float], None]]:
    """Does as `progress` where rows and the share that is done are told, not steps."""
    shown, whole = 0, 1000
    with progress(task, whole) as advance:

        def moved(_rows: int, share: float) -> None:
            nonlocal shown
            advance(int(share * whole) - shown)
            shown = int(share * whole)

        yield moved


def warn(text: str) -> None:
    """Prints what a command that did its work could not do beside it."""
    _err.print(f"sendwise: warning: {text}", markup=False, style="yellow", soft_wrap=True)


class _Narrator(logging.Handler):
    """Tells a person at a terminal what the program is busy with."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the message above a bar, if there is one."""
        _err.print(f"sendwise: {record.getMessage()}", markup=False, soft_wrap=True)


def narrate() -> None:
    """Says what takes long and cannot show a bar, where somebody watches; `serve` has a log."""
    if _err.is_terminal:
        logging.getLogger().addHandler(_Narrator())
        logging.getLogger("policy.compiled").setLevel(logging.INFO)


def complain(text: str) -> None:
    """Prints an error."""
    _err.print(f"sendwise: {text}", markup=False, style="red", soft_wrap=True)
