"""Which module holds each command: only the one that is asked for is loaded.

All of them together take a second to load, which `sendwise check` need not wait for, nor each
process that an evaluation starts.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

MODULES: Final[Mapping[str, str]] = {
    "check": "checking",
    "serve": "serving",
    "train": "learning",
    "evaluate": "evaluating",
    "metrics": "metrics",
    "report": "reporting",
    "models": "learning",
    "promote": "learning",
    "rollback": "learning",
    "verify": "audit",
    "ledger": "audit",
    "audit": "audit",
    "erase": "privacy",
    "export-subject": "privacy",
    "retain": "keeping",
    "check-log": "vault",
    "migrate": "vault",
    "rekey": "vault",
    "export": "exporting",
    "backup": "transfer",
    "restore": "transfer",
    "simulate": "simulation",
}
"""Commands in the order of the help text, each with its module in this package."""


class Commands(TyperGroup):
    """A group that loads a command when it is asked for."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - what Typer gives
        super().__init__(**settings)
        # Typer would let commands be added; nothing here does.
        self.commands = _Loading()  # type: ignore[assignment]


class _Loading(Mapping[str, Any]):
    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - Typer does not name the type
        module = import_module(f"cli.{MODULES[name]}")
        alone = typer.Typer(
            pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None
        )
        alone.command(name)(getattr(module, name.replace("-", "_")))
        return get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)
