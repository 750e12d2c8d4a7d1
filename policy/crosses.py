"""Crosses: which sides of an action a model learns about together, in words and in VW's letters."""

from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import AfterValidator, Field

SIDES: Final = {
    "c": "context",
    "o": "offer",
    "r": "offer_features",
    "n": "channel",
    "w": "send_time",
}
"""What people call the namespaces of `policy.tokens`."""

Crosses = tuple[str, ...]
"""Namespaces that are crossed, such as ("co", "con"), in the order of `ALL`."""

ALL: Final[Crosses] = (
    *("co", "cn", "cw", "on", "nw", "ow", "ro", "con"),
    *("cr", "rn", "rw", "cow", "cnw", "onw"),
)
"""All that can be crossed. Which letter stands first matters for VW's hash of a cross."""
DEFAULT: Final[Crosses] = ALL[:8]
"""What is crossed where a catalog says nothing; never changes, or old catalogs would."""

# The same as bits of a number, for compiled code.
CO, CN, CW, ON, NW, OW, RO, CON, CR, RN, RW, COW, CNW, ONW = (1 << k for k in range(len(ALL)))


def bits_of(crosses: Crosses) -> int:
    """Crosses as bits of one number."""
    return sum(1 << ALL.index(cross) for cross in crosses)


def word_of(cross: str) -> str:
    """A cross as people write it, such as `context*offer`."""
    return "*".join(SIDES[letter] for letter in cross)


def words_of(crosses: Crosses) -> tuple[str, ...]:
    """Crosses as people write them."""
    return tuple(map(word_of, crosses))


DEFAULT_WORDS: Final = words_of(DEFAULT)
_BY_SIDES = {frozenset(word_of(cross).split("*")): cross for cross in ALL}


def cross_of(word: str) -> str:
    """The cross that a word such as `offer*context` means, in whatever order its sides stand.

    Raises:
        ValueError: with what is wrong with it.
    """
    sides = [side.strip() for side in word.split("*")]
    unknown = [side for side in sides if side not in SIDES.values()]
    if unknown:
        known = ", ".join(SIDES.values())
        raise ValueError(f"{unknown[0][:64]!r} is not one of {known}")
    cross = _BY_SIDES.get(frozenset(sides)) if len(set(sides)) == len(sides) else None
    if cross is None:
        known = ", ".join(map(word_of, ALL))
        raise ValueError(f"{word[:64]!r} cannot be crossed; what can be: {known}")
    return cross


def crosses_of(words: Iterable[str]) -> Crosses:
    """The crosses that some words mean, in the order of `ALL`."""
    return tuple(sorted(map(cross_of, words), key=ALL.index))


def _cross_word(word: str) -> str:
    return word_of(cross_of(word))


def _all_different(words: tuple[str, ...]) -> tuple[str, ...]:
    for index, word in enumerate(words):
        if word in words[:index]:
            raise ValueError(f"{word!r} is named twice")
    return words_of(crosses_of(words))


CrossWords = Annotated[
    tuple[Annotated[str, AfterValidator(_cross_word)], ...],
    Field(strict=False),
    AfterValidator(_all_different),
]
"""Crosses in words; however they are written, in one order and with one name each."""
