"""What a person at a terminal is told of, and nobody else."""

import logging
from collections.abc import Iterator
from io import StringIO

import pytest
from rich.console import Console

from cli import output

COMPILING = logging.getLogger("policy.compiled")


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    root, handlers, level = logging.getLogger(), [*logging.getLogger().handlers], COMPILING.level
    yield
    root.handlers[:] = handlers
    COMPILING.setLevel(level)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_compiling_is_told_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool
) -> None:
    """On standard error, as bars are; a file of such lines helps nobody."""
    shown = StringIO()
    monkeypatch.setattr(
        output, "_err", Console(file=shown, force_terminal=is_terminal, highlight=False)
    )
    output.narrate()
    COMPILING.info("compiling [for] long")
    told = "sendwise: compiling [for] long\n" if is_terminal else ""
    assert shown.getvalue() == told
