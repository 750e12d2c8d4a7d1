"""The tokens of a request and of all that may answer it, put end to end: compiled loops."""

from typing import NamedTuple

import numpy as np

from policy.blocks import FloatArray, IntArray, Options, Side, Span
from policy.compiled import compiled, inner, leaf


class Tokens(NamedTuple):
    """Room for tokens, end to end."""

    hashes: IntArray
    values: FloatArray


class Starts(NamedTuple):
    """Where the options of each side begin, and where the last ones end, among all tokens."""

    facts: IntArray
    """Shape (offers + 1,)."""
    offers: IntArray
    """Shape (offers + 1,)."""
    channels: IntArray
    """Shape (channels + 1,)."""
    windows: IntArray
    """Shape (windows + 1,); of their kinds of tokens, where these are meant."""


@inner
def room(count: int) -> Tokens:
    """Room for so many tokens."""
    return Tokens(np.empty(count, dtype=np.int64), np.empty(count))


@leaf
def span(starts: IntArray, option: int) -> Span:
    """An option's tokens."""
    return Span(starts[option], starts[option + 1])


@leaf
def put_side(tokens: Tokens, end: int, side: Side) -> int:
    """Writes a side behind what is there; returns where it ends."""
    for t in range(len(side.hashes)):
        tokens.hashes[end + t], tokens.values[end + t] = side.hashes[t], side.values[t]
    return end + len(side.hashes)


@inner
def put_options(tokens: Tokens, end: int, options: Options) -> IntArray:
    """Writes all options behind what is there; returns where each begins and the last ends."""
    put_side(tokens, end, Side(options.hashes, options.values))
    starts = np.empty(len(options.starts), dtype=np.int64)
    for option in range(len(starts)):
        starts[option] = end + options.starts[option]
    return starts


@inner
def put_facts(tokens: Tokens, end: int, facts: Options, offers: int) -> IntArray:
    """Does as `put_options`, of so many offers; where there are no options each has no tokens."""
    if len(facts.starts) > 1:
        return put_options(tokens, end, facts)
    starts = np.empty(offers + 1, dtype=np.int64)
    for offer in range(offers + 1):
        starts[offer] = end
    return starts


@inner
def put_some(tokens: Tokens, end: int, options: Options, places: IntArray) -> IntArray:
    """Does as `put_options` with the options at some places, in that order."""
    starts = np.empty(len(places) + 1, dtype=np.int64)
    for k in range(len(places)):
        starts[k] = end
        for t in range(options.starts[places[k]], options.starts[places[k] + 1]):
            tokens.hashes[end], tokens.values[end] = options.hashes[t], options.values[t]
            end += 1
    starts[len(places)] = end
    return starts


@leaf
def tokens_of(options: Options, places: IntArray) -> int:
    """How many tokens some options have together."""
    total = 0
    for place in places:
        total += options.starts[place + 1] - options.starts[place]
    return total


@leaf
def is_same(tokens: Tokens, first: int, second: int) -> bool:
    """Whether two tokens are equal: those of one hash have one weight, whatever their text."""
    return bool(
        tokens.hashes[first] == tokens.hashes[second]
        and tokens.values[first] == tokens.values[second]
    )


@inner
def common(tokens: Tokens, starts: IntArray) -> IntArray:
    """Places of the first option's tokens that all others have; none if it is alone."""
    kept = starts[1] - starts[0] if len(starts) > 2 else 0  # noqa: PLR2004 - two options or more
    found = np.empty(kept, dtype=np.int64)
    for k in range(kept):
        found[k] = starts[0] + k
    for option in range(1, len(starts) - 1):
        left = 0
        for k in range(kept):
            for t in range(starts[option], starts[option + 1]):
                if is_same(tokens, t, found[k]):
                    found[left] = found[k]
                    left += 1
                    break
        kept = left
        if kept == 0:
            break
    return found[:kept]


@inner
def put_telling(tokens: Tokens, end: int, starts: IntArray) -> IntArray:
    """Writes options that are there once more, without the tokens that all of them have.

    Only what tells them apart makes one better than another, and only how well that is known
    matters for which to try. An option that has nothing else keeps all, as in a single hour that
    happens twice: none is ever known for certain.
    """
    shared = common(tokens, starts)
    if len(shared) == 0:
        return starts
    kept = np.empty(len(starts), dtype=np.int64)
    for option in range(len(starts) - 1):
        kept[option] = end
        keeps_all = starts[option + 1] - starts[option] == len(shared)
        for t in range(starts[option], starts[option + 1]):
            is_shared = False
            for k in range(len(shared)):
                is_shared = is_shared or is_same(tokens, t, shared[k])
            if keeps_all or not is_shared:
                tokens.hashes[end], tokens.values[end] = tokens.hashes[t], tokens.values[t]
                end += 1
    kept[len(starts) - 1] = end
    return kept


@compiled
def telling(options: Options) -> Options:
    """Options without the tokens that all of them have: see `put_telling`."""
    count = len(options.hashes)
    tokens = room(2 * count)
    starts = put_telling(tokens, count, put_options(tokens, 0, options))
    first, last = starts[0], starts[-1]
    for option in range(len(starts)):
        starts[option] -= first
    return Options(tokens.hashes[first:last], tokens.values[first:last], starts)
