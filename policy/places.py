"""Finds the line of a TOML file that a key path refers to, so that errors can name it."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

_PART = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"({_PART}(?:\s*\.\s*{_PART})*)"
_TABLE = re.compile(rf"\s*(\[{{1,2}})\s*{_DOTTED}\s*\]")
_KEY = re.compile(rf"\s*{_DOTTED}\s*=")

Path = tuple[str, ...]
Location = tuple[str | int, ...]
"""A path with the indices of lists, as pydantic gives it."""


def line_of(text: str, path: Location) -> int | None:
    """Line, from 1, where `path` or its nearest known ancestor is first set; None if nowhere."""
    lines = _lines(text)
    names = tuple(str(part) for part in path)
    for length in range(len(names), 0, -1):
        if names[:length] in lines:
            return lines[names[:length]]
    return None


def dotted(path: Location) -> str:
    """The path as people write it, such as `offers.mens.channels[0]`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


@lru_cache(maxsize=1)
def _lines(text: str) -> dict[Path, int]:
    """The first line that sets a path or a part of it; kept, since mistakes come in numbers."""
    lines: dict[Path, int] = {}
    for path, number in _settings(text):
        for length in range(1, len(path) + 1):
            lines.setdefault(path[:length], number)
    return lines


def _settings(text: str) -> Iterator[tuple[Path, int]]:
    """Every table and key of `text` with its line."""
    table: Path = ()
    seen = Counter[Path]()
    for number, line in enumerate(text.split("\n"), start=1):
        if found := _TABLE.match(line):
            table = _names(found[2])
            if found[1] == "[[":  # one of a list of tables: its index is part of the path
                seen[table] += 1
                table = (*table, str(seen[table] - 1))
            yield table, number
        elif found := _KEY.match(line):
            yield table + _names(found[1]), number


def _names(dotted_key: str) -> Path:
    """The parts of a TOML key, without quotes."""
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted_key))
