"""What pydantic finds wrong, in the words of those who write files and set options."""

from collections.abc import Mapping
from typing import Final

from pydantic_core import ErrorDetails

from policy.places import dotted

_WORDS: Final[Mapping[str, str]] = {
    # By the kind of finding; in braces what its context says.
    "bool_type": "must be true or false",
    "dict_type": "must be a table, such as {{ key = value }}",
    "extra_forbidden": "is not a known key",
    "finite_number": "must be finite",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "missing": "is required",
    "model_type": "must be a table, such as {{ key = value }}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_pattern_mismatch": (
        "must be letters, digits, '.', '_' and '-', and begin with a letter or a digit"
    ),
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must not be empty",
    "string_type": 'must be a text in quotes, such as "text"',
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entry",
    "tuple_type": 'must be a list, such as ["one", "two"]',
}
_BRACKETS: Final[Mapping[tuple[str, type], str]] = {
    # By what stands in the place of what: the usual mistake is a bracket too few or too many.
    ("tuple_type", dict): "must be a list of tables: write [[{place}]]",
    ("dict_type", list): "must be tables with a name each: write [{place}.NAME]",
    ("model_type", list): "must be one table: write [{place}]",
}
_UNQUOTED: Final = frozenset({"bool_type", "float_type", "int_type"})
_MOMENT: Final = "must be a date and time with an offset, such as 2026-12-01T00:00:00Z"
_CLOCK: Final = 'must be a time of day, such as "21:00"'


def plain(detail: ErrorDetails) -> str:
    """What is wrong and what would be right, without a word about Python.

    Args:
        detail: a finding, with its context and its input.
    """
    kind, place = detail["type"], dotted(detail["loc"])
    if kind.startswith(("datetime_", "time_")):
        return _CLOCK if kind.startswith("time_") else _MOMENT
    words = _BRACKETS.get((kind, type(detail["input"])), _WORDS.get(kind))
    if words is None:
        return detail["msg"].removeprefix("Value error, ")
    context = {name: _shown(value) for name, value in detail.get("ctx", {}).items()}
    unquoted = kind in _UNQUOTED and isinstance(detail["input"], str)
    return words.format(place=place, **context) + (", without quotes" if unquoted else "")


def _shown(value: object) -> str:
    """A number as people write it: no exponent, no zeros at the end; anything else as it is."""
    if not isinstance(value, int | float):
        return str(value)
    return f"{value:,.6f}".rstrip("0").rstrip(".")
