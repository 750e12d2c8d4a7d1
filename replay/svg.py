"""Turns matplotlib's SVG into markup that lives inside a page: its fonts, colours and ids."""

import re
from collections.abc import Mapping
from html import escape
from types import MappingProxyType

COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "ink": "#010203",
        "muted": "#010204",
        "grid": "#010205",
        "surface": "#010206",
        "series-1": "#010211",
        "series-2": "#010212",
        "series-3": "#010213",
        "series-4": "#010214",
        "series-5": "#010215",
    }
)
"""Colours to draw with. Each stands for the page's CSS variable of that name, which light and dark
set differently; nobody ever sees the values."""

_PREAMBLE = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_DROPPED = re.compile(r"\s*<(metadata|style)\b.*?</\1>", re.DOTALL)
_ROOT = re.compile(r"<svg[^>]*?viewBox=\"([^\"]*)\"[^>]*>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_FONT = re.compile(r"font-family: [^;\"]*;? ?")
_ID = re.compile(r"(\bid=\"|href=\"#|url\(#)")


def inline_svg(svg: str, name: str, title: str, description: str) -> str:
    """An SVG drawing as an element of a page.

    Args:
        svg: What matplotlib wrote, with text as text and colours from `COLOURS`.
        name: Prefix of all ids, unlike any other drawing's in the page.
        title: For those who cannot see it: what it is.
        description: For the same: what it shows.

    Returns:
        One `svg` element that scales with the page and takes font and colours from it.
    """
    body = _DROPPED.sub("", _PREAMBLE.sub("", svg))
    # Tags alone: a policy's name may look like an id or a colour, and must stay as it is.
    body = _TAG.sub(lambda found: _adapted(found[0], name), body)
    return _ROOT.sub(lambda found: _root(found[1], name, title, description), body, count=1)


def _adapted(tag: str, name: str) -> str:
    """One tag with the page's font and colours, and ids of its own."""
    tag = _ID.sub(rf"\g<1>{name}-", _FONT.sub("", tag))
    for variable, sentinel in COLOURS.items():
        tag = tag.replace(sentinel, f"var(--{variable})")
    return tag


def _root(view_box: str, name: str, title: str, description: str) -> str:
    """The opening of the element with its accessible name and description."""
    return (
        f'<svg viewBox="{view_box}" role="img" '
        f'aria-labelledby="{name}-title {name}-description">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-description">{escape(description)}</desc>'
    )
