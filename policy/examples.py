"""Examples to learn from: their text for Vowpal Wabbit, and the weights that they have."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

import numpy as np

from policy.blocks import IntArray
from policy.crosses import ALL, DEFAULT, SIDES, Crosses
from policy.features import Tokens
from policy.foresight import NO_SIDE, SLOTS, Terms, lay_out
from policy.situation import Path, Situation
from policy.tokens import example_sides, sides_text, text_sides
from policy.vw import token_hash

_SIDES = "".join(SIDES)


class Example(NamedTuple):
    """One action in its context."""

    text: str
    """As Vowpal Wabbit reads it."""
    terms: Terms
    """The weights that it has."""


def example(situation: Situation, path: Path, crosses: Crosses = DEFAULT) -> Example:
    """The example of an action."""
    sides = example_sides(situation, path)
    return Example(sides_text(sides), _terms(sides, crosses))


def text_example(text: str, crosses: Crosses = DEFAULT) -> Example:
    """An example by the text of its action, as `policy.tokens.example_text` gives it."""
    return Example(text, _terms(text_sides(text), crosses))


def _terms(sides: Mapping[str, Tokens], crosses: Crosses) -> Terms:
    """The weights of an example."""
    marks: list[tuple[int, int]] = []
    values: list[float] = []
    starts = [0]
    for side in _SIDES:
        for text, value in sides.get(side, ()):
            marks.append(_mark(side, text))
            values.append(value)
        starts.append(len(values))
    return lay_out(
        np.array(marks, dtype=np.int64).T, np.array(values), np.array(starts), _laid_out(crosses)
    )


@lru_cache(maxsize=64)
def _laid_out(crosses: Crosses) -> IntArray:
    """Crosses as `lay_out` takes them."""
    rows = [(*(*map(_SIDES.index, cross), NO_SIDE)[:3], ALL.index(cross)) for cross in crosses]
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


@lru_cache(maxsize=65_536)
def _mark(side: str, text: str) -> tuple[int, int]:
    """A token's hash, and the slot of a context feature: by its name, whatever its value."""
    slot = crc32(text[1:].partition("=")[0].encode()) % SLOTS if side == "c" else 0
    return token_hash(side, text), slot
