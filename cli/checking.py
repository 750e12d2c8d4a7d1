"""`sendwise check`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import Format, OutputFormat
from cli.output import line, show
from policy.catalog import parse_catalog
from policy.catalog_notes import notes_of
from policy.catalog_text import read_catalog


def check(
    catalog: Annotated[Path, typer.Argument(help="The catalog file.", show_default=False)],
    form: OutputFormat = Format.TEXT,
) -> None:
    """Validate a catalog: every mistake with its place.

    Notes what is no mistake but hardly meant, such as an offer that has ended.
    """
    content = read_catalog(catalog)
    found = parse_catalog(content, str(catalog))
    notes = notes_of(found, content, datetime.now(UTC))
    facts: dict[str, Any] = {
        "version": found.version,
        "name": found.name,
        "offers": len(found.offers),
        "channels": len(found.channels),
        "windows": found.send_times.windows,
        "no_send": found.no_send is not None,
        "notes": [{"place": note.place, "text": note.text, "line": note.line} for note in notes],
    }

    def text() -> None:
        line(
            f"{catalog} is valid: {facts['offers']} offers, {facts['channels']} channels, "
            f"{facts['windows']} send windows, version {found.version}"
        )
        for note in notes:
            line(f"  note: {note}")

    show(facts, form, text)
