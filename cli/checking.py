"""`sendwise check`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import Format, OutputFormat
from cli.output import line, show
from policy.catalog import load_catalog


def check(
    catalog: Annotated[Path, typer.Argument(help="The catalog file.", show_default=False)],
    form: OutputFormat = Format.TEXT,
) -> None:
    """Validate a catalog: every mistake with its place."""
    found = load_catalog(catalog)
    facts: dict[str, Any] = {
        "version": found.version,
        "name": found.name,
        "offers": len(found.offers),
        "channels": len(found.channels),
        "windows": found.send_times.windows,
        "no_send": found.no_send is not None,
    }
    text = (
        f"{catalog} is valid: {facts['offers']} offers, {facts['channels']} channels, "
        f"{facts['windows']} send windows, version {found.version}"
    )
    show(facts, form, lambda: line(text))
