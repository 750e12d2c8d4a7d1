"""Finds the line of a TOML file that a key path refers to, so that errors can name it."""

import re
from collections.abc import Iterator, Sequence

_TABLE = re.compile(r"^\s*\[+\s*([^\]]+?)\s*\]+\s*(#.*)?$")
_KEY = re.compile(
    r"""^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")

Path = tuple[str, ...]


def line_of(text: str, path: Sequence[str | int]) -> int | None:
    """Line, from 1, where `path` or its nearest known ancestor is set; None if there is none."""
    lines = dict(reversed(list(_settings(text))))
    names = tuple(str(part) for part in path)
    for length in range(len(names), 0, -1):
        if names[:length] in lines:
            return lines[names[:length]]
    return None


def dotted(path: Sequence[str | int]) -> str:
    """The path as people write it, such as `offers.mens.channels[0]`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


def _settings(text: str) -> Iterator[tuple[Path, int]]:
    """Every table and key of `text` with its line."""
    table: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _TABLE.match(line):
            table = _names(found[1])
            yield table, number
        elif found := _KEY.match(line):
            yield table + _names(found[1]), number


def _names(dotted_key: str) -> Path:
    """The parts of a TOML key, without quotes."""
    return tuple(part.strip("\"'") for part in _PART.findall(dotted_key))
