"""The catalog's file as text, and the text as tables: what may go wrong before any key is read."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from policy.errors import CatalogError, Problem

_WORDS: Final = {
    # Where tomllib speaks to those who know TOML.
    "Cannot overwrite a value": "this was given before; each key and table stands in one place",
    "Cannot declare": "this table was given before; each key and table stands in one place",
    "Invalid value": "no value; texts stand in straight quotes, yes and no are true and false",
    "Invalid statement": "a line is a [table], a key = value, or a # comment",
}
_PLACE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def read_catalog(path: Path) -> str:
    """The text of a catalog file, without the mark of the byte order that some editors write.

    Raises:
        CatalogError: if it cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        problem = Problem("", f"cannot be read: {(error.strerror or str(error)).lower()}")
        raise CatalogError(str(path), [problem]) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        text = f"cannot be read: byte {content[error.start]:#04x} is not UTF-8; save it as UTF-8"
        raise CatalogError(str(path), [Problem("", text, line)]) from None


def tables_of(text: str, source: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
        CatalogError: if it is not TOML.
    """
    try:
        text.encode()
        return tomllib.loads(text)
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        problem = Problem("", "not Unicode text: it has a lone surrogate", line)
    except RecursionError:
        problem = Problem("", "not a catalog: its tables or lists are nested too deeply")
    except tomllib.TOMLDecodeError as error:
        problem = _not_toml(str(error), text)
    except ValueError:
        problem = Problem("", "not TOML: a number has thousands of digits")
    raise CatalogError(source, [problem])


def _not_toml(said: str, text: str) -> Problem:
    """What the parser said, with the line in front."""
    found = _PLACE.search(said)
    line = None if found is None else int(found[1] or text.count("\n") + 1)
    head = said[: found.start()] if found else said
    words = (plain for technical, plain in _WORDS.items() if head.startswith(technical))
    return Problem("", f"not TOML: {next(words, head)}", line)
