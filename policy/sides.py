"""The tokens of each side of an action as arrays: hashes and numbers."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from policy.blocks import IntArray, Options, Side
from policy.features import Tokens
from policy.options import telling
from policy.parts import Windows
from policy.situation import Situation
from policy.tokens import context_tokens, days_ahead, request_tokens, window_tokens
from policy.vw import token_hash

WINDOWS_KEPT = 1024
"""Send windows move on with the clock, and differ by zone."""


class GridWindows(NamedTuple):
    """The send windows of a grid."""

    windows: Windows
    kinds: Options
    """The different tokens of windows, each an option of its own."""
    telling: Options
    """Without the tokens that all of them have."""


def side(namespace: str, tokens: Tokens) -> Side:
    """The tokens of one side."""
    hashes = [token_hash(namespace, text) for text, _ in tokens]
    return Side(
        np.array(hashes, dtype=np.int64), np.array([value for _, value in tokens], dtype=np.float64)
    )


def options(namespace: str, listed: Sequence[Tokens]) -> Options:
    """The tokens of several options."""
    flat = side(namespace, tuple(token for tokens in listed for token in tokens))
    return Options(*flat, _starts(listed))


def context_side(situation: Situation) -> Side:
    """What is known of the subject and the moment."""
    return side("c", context_tokens(situation))


def windows_of(situation: Situation) -> GridWindows:
    """The send windows."""
    grid = situation.grid
    return _windows(grid.local_minutes, days_ahead(grid))


@lru_cache(maxsize=WINDOWS_KEPT)
def _windows(local_minutes: tuple[int, ...], ahead: tuple[int, ...]) -> GridWindows:
    listed = [*map(window_tokens, local_minutes, ahead)]
    flat = [token for tokens in listed for token in tokens]
    kinds = {token: kind for kind, token in enumerate(dict.fromkeys(flat))}
    tokens = np.array([kinds[token] for token in flat], dtype=np.int64)
    return GridWindows(
        Windows(tokens, _starts(listed)),
        options("w", [(token,) for token in kinds]),
        telling(options("w", listed)),
    )


def facts_of(situation: Situation) -> Options:
    """What the request says of each offer of the tree; no options at all if it says nothing."""
    if not situation.offer_features:
        return _NOTHING
    return options("r", [request_tokens(situation, node.offer) for node in situation.tree])


def _starts(listed: Sequence[Tokens]) -> IntArray:
    return np.cumsum([0, *map(len, listed)], dtype=np.int64)


_NOTHING = options("r", ())
