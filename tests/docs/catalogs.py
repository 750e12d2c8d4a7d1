"""What the catalog's models ask of a file, and small catalogs with one line changed."""

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from policy.catalog import Catalog
from tests.docs.documents import code_of

TOP = "Top of the file"
_FORMS: dict[Any, str] = {dict: "{}.NAME", tuple: "[{}]"}
"""What the header of a table looks like that is one of several, by what holds them."""
_LIMITS = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length")


def models(model: type[BaseModel] = Catalog, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every table of the catalog by its section's heading."""
    yield (f"`[{place}]`" if place else TOP), model
    for name, field in model.model_fields.items():
        for kind in parts(field.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                path = ".".join(filter(None, [place, name]))
                yield from models(kind, _FORMS.get(get_origin(field.annotation), "{}").format(path))


def parts(kind: Any) -> Iterator[Any]:  # noqa: ANN401 - a type, or what a Literal holds
    """A type and all that it is made of."""
    yield kind
    for part in get_args(kind):
        yield from parts(part)


def limits_of(field: FieldInfo) -> set[str]:
    """All limits on a key, and all words that it may be, as people write them."""
    words = {f"`{part}`" for part in parts(field.annotation) if isinstance(part, str)}
    return words | {shown(limit) for limit in limits(field)}


def limits(field: FieldInfo) -> Iterator[float]:
    """The numbers that a key must keep to; those of names stand apart, and zero goes unsaid."""
    for rule in (*field.metadata, *parts(field.annotation)):
        if isinstance(rule, FieldInfo):
            yield from limits(rule)
        elif getattr(rule, "pattern", None) is None:
            yield from filter(None, (getattr(rule, name, None) for name in _LIMITS))


def shown(limit: float) -> str:
    """A limit as people write it."""
    if limit >= 1e6:
        return f"{limit:.0e}".replace("+0", "").replace("+", "")
    if 0 < limit < 1e-3:
        return f"{limit:f}"
    return f"{limit:,.0f}" if limit >= 10_000 else f"{limit:g}"


def header_of(heading: str) -> str:
    """The table's header in the smallest catalog; empty for the top of the file."""
    if heading == TOP:
        return ""
    header = code_of(heading)[1:-1].replace("channels.NAME", "channels.email")
    header = header.replace("exclusion_groups.NAME", "exclusion_groups.discounts")
    return header.replace("offers.NAME", "offers.sale")


def sections_of(text: str) -> dict[str, list[str]]:
    """The lines of a TOML file by their table's header."""
    sections: dict[str, list[str]] = {"": []}
    for line in filter(None, text.splitlines()):
        if found := re.match(r"\[(.*)\]", line):
            sections[found[1]] = []
        else:
            sections[list(sections)[-1]].append(line)
    return sections


def with_line(text: str, header: str, line: str) -> str:
    """The file with a line of a table set, in place of one with the same key."""
    key = line.partition(" = ")[0]
    # A table may be a line of the one above it: half of it would be another mistake.
    if key == header.rpartition(".")[2]:
        header = header.removesuffix(f".{key}")
    sections = sections_of(text)
    lines = sections.setdefault(header, [])
    lines[:] = [other for other in lines if other.partition(" = ")[0] != key]
    if line:
        lines.append(line)
    return "\n".join(
        part for name, lines in sections.items() for part in ([f"[{name}]"] if name else []) + lines
    )
