"""Sums of weights by blocks: a linear model's value of an action is a sum of small tables.

The logit of (offer, channel, send window) in a context is a sum over the offer alone, the channel
alone, the window alone and their pairs. Each of these has far fewer entries than there are actions,
so a tree of 20 x 4 x 24 actions takes a few thousand weights in place of half a million.

Every sum here has two readings. With a prior of 0 the table holds weights, and a term is weight
times factor. With a positive prior the table holds sums of squared gradients, and a term is the
squared factor over (prior + sum): a weight's variance is the inverse of its sum of squared
gradients, which is the diagonal of the observed Fisher information, plus a prior precision.

Hashes are those of `policy.vw`, cut to the bits that reach a weight's place.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policy.compiled import leaf
from policy.vw import CONSTANT, FNV_PRIME, HASH_MASK, STRIDE_SHIFT

Table = NDArray[np.float32]
"""Weights beside their sums of squared gradients, which are mostly wanted together and so come from
memory together; shape (2**18, 2)."""
WEIGHTS, SQUARES = 0, 1
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

PLAIN = 0.0
"""The prior with which a table is read as weights."""


class Side(NamedTuple):
    """The tokens of one side of an example."""

    hashes: IntArray
    """Shape (tokens,)."""
    values: FloatArray
    """Shape (tokens,)."""


class Options(NamedTuple):
    """The tokens of several options of one side, end to end."""

    hashes: IntArray
    """Shape (tokens,)."""
    values: FloatArray
    """Shape (tokens,)."""
    starts: IntArray
    """Where each option begins, and where the last one ends; shape (options + 1,)."""


class Lookup(NamedTuple):
    """What sums are made of: a table, and the tokens of a request and all that may answer it.

    All lie end to end, since compiled code passes numbers for nothing, and arrays for a price.
    """

    table: Table
    column: int
    """Of the table: `WEIGHTS` or `SQUARES`."""
    hashes: IntArray
    """Shape (tokens,)."""
    values: FloatArray
    """Shape (tokens,)."""


class Span(NamedTuple):
    """The tokens of something, among those of a `Lookup`."""

    start: int
    end: int


NOTHING = Span(0, 0)


@leaf
def cross(first: int, second: int) -> int:
    """VW's hash of two crossed features; its higher bits never reach a weight's place."""
    return (first * FNV_PRIME ^ second) & HASH_MASK


@leaf
def term(tokens: Lookup, prior: float, hashed: int, factor: float) -> float:
    """What one weight adds."""
    entry = float(tokens.table[hashed >> STRIDE_SHIFT, tokens.column])
    if prior > 0.0:
        return factor * factor / (prior + entry)
    return factor * entry


@leaf
def size(tokens: Lookup, option: Span) -> float:
    """Sum of the squared values of an option's tokens."""
    total = 0.0
    for t in range(option.start, option.end):
        total += tokens.values[t] * tokens.values[t]
    return total


@leaf
def base_sum(tokens: Lookup, context: Span) -> float:
    """What all actions share: the constant and the context alone."""
    total = float(tokens.table[CONSTANT, tokens.column])
    for c in range(context.start, context.end):
        total += term(tokens, PLAIN, tokens.hashes[c], tokens.values[c])
    return total


@leaf
def option_sum(tokens: Lookup, prior: float, context: Span, option: Span) -> float:
    """One option's tokens, alone and crossed with the context."""
    total = 0.0
    for t in range(option.start, option.end):
        hashed, value = tokens.hashes[t], tokens.values[t]
        total += term(tokens, prior, hashed, value)
        for c in range(context.start, context.end):
            crossed = cross(tokens.hashes[c], hashed)
            total += term(tokens, prior, crossed, tokens.values[c] * value)
    return total


@leaf
def pair_sum(tokens: Lookup, prior: float, first: Span, second: Span) -> float:
    """Every token of one option crossed with every token of another."""
    total = 0.0
    for s in range(first.start, first.end):
        for t in range(second.start, second.end):
            crossed = cross(tokens.hashes[s], tokens.hashes[t])
            total += term(tokens, prior, crossed, tokens.values[s] * tokens.values[t])
    return total


@leaf
def triple_sum(tokens: Lookup, prior: float, first: Span, second: Span, third: Span) -> float:
    """Every token of three sides crossed with one another."""
    total = 0.0
    for s in range(second.start, second.end):
        for t in range(third.start, third.end):
            value = tokens.values[s] * tokens.values[t]
            for c in range(first.start, first.end):
                crossed = cross(cross(tokens.hashes[c], tokens.hashes[s]), tokens.hashes[t])
                total += term(tokens, prior, crossed, tokens.values[c] * value)
    return total
