"""The tokens of each side of an action as arrays: hashes and numbers."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from policy.blocks import Options, Side
from policy.features import Token, Tokens
from policy.situation import Situation
from policy.tokens import context_tokens, days_ahead, request_tokens, window_tokens
from policy.vw import token_hash

WINDOWS_KEPT = 1024
"""Send windows move on with the clock, and differ by zone."""


class Choices(NamedTuple):
    """The options of one side."""

    whole: Options
    """With all their tokens: what their values are made of."""
    distinct: Options
    """Without the tokens that all of them have: only what tells them apart makes one better than
    another, and only how well that is known matters for which to try. Where nothing does, such as
    in a single hour that happens twice, all tokens stay: no option is ever known for certain."""


def side(namespace: str, tokens: Tokens) -> Side:
    """The tokens of one side."""
    hashes = [token_hash(namespace, text) for text, _ in tokens]
    return Side(
        np.array(hashes, dtype=np.int64), np.array([value for _, value in tokens], dtype=np.float64)
    )


def choices(namespace: str, each: Iterable[Tokens]) -> Choices:
    """Several options."""
    listed = list(each)
    shared = set(listed[0]).intersection(*listed[1:]) if len(listed) > 1 else set[Token]()
    # The two windows of an hour that happens twice have nothing that tells them apart.
    apart = [tuple(token for token in tokens if token not in shared) or tokens for tokens in listed]
    return Choices(options(namespace, listed), options(namespace, apart))


def options(namespace: str, listed: Sequence[Tokens]) -> Options:
    """The tokens of several options."""
    flat = side(namespace, tuple(token for tokens in listed for token in tokens))
    starts = np.cumsum([0, *map(len, listed)], dtype=np.int64)
    return Options(*flat, starts)


def context_side(situation: Situation) -> Side:
    """What is known of the subject and the moment."""
    return side("c", context_tokens(situation))


def window_choices(situation: Situation) -> Choices:
    """The send windows."""
    grid = situation.grid
    return _window_choices(grid.local_minutes, days_ahead(grid))


@lru_cache(maxsize=WINDOWS_KEPT)
def _window_choices(local_minutes: tuple[int, ...], ahead: tuple[int, ...]) -> Choices:
    return choices("w", map(window_tokens, local_minutes, ahead))


def affinity_sides(situation: Situation) -> Mapping[int, Side]:
    """What the request says of single offers, by the offers' places."""
    if not situation.offer_features:
        return {}
    found = (request_tokens(situation, node.offer) for node in situation.tree)
    return {place: side("r", tokens) for place, tokens in enumerate(found) if tokens}
