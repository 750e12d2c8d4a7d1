"""Sums of weights by blocks: a linear model's value of an action is a sum of small tables.

The logit of (offer, channel, send window) in a context is a sum over the offer alone, the channel
alone, the window alone and their pairs. Each of these has far fewer entries than there are actions,
so a tree of 20 x 4 x 24 actions takes a few thousand weights in place of half a million.

Every sum here has two readings. With a precision of 0 the table holds weights, and a term is weight
times factor. With a positive precision the table holds sums of squared gradients, and a term is the
squared factor over (precision + sum): a weight's variance is the inverse of its sum of squared
gradients, which is the diagonal of the observed Fisher information, plus a prior precision. That of
an option's tokens grows with their number, so that before anything is learned an option with many
features is no more uncertain than one with few.

Hashes are those of `policy.vw`, cut to the bits that reach a weight's place.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policy.compiled import compiled
from policy.vw import CONSTANT, FNV_PRIME, HASH_MASK, STRIDE_SHIFT

Table = NDArray[np.float32]
"""Shape (2**18,)."""
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

PLAIN = 0.0
"""The precision with which a table is read as weights."""


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


@compiled
def cross(first: int, second: int) -> int:
    """VW's hash of two crossed features; its higher bits never reach a weight's place."""
    return (first * FNV_PRIME ^ second) & HASH_MASK


@compiled
def term(table: Table, precision: float, hashed: int, factor: float) -> float:
    """What one weight adds."""
    entry = float(table[hashed >> STRIDE_SHIFT])
    if precision > 0.0:
        return factor * factor / (precision + entry)
    return factor * entry


@compiled
def base_sum(table: Table, context: Side) -> float:
    """What all actions share: the constant and the context alone."""
    total = float(table[CONSTANT])
    for c in range(len(context.hashes)):
        total += term(table, 0.0, context.hashes[c], context.values[c])
    return total


@compiled
def size(options: Options, option: int) -> float:
    """Sum of the squared values of an option's tokens."""
    total = 0.0
    for t in range(options.starts[option], options.starts[option + 1]):
        total += options.values[t] * options.values[t]
    return total


@compiled
def option_sum(
    table: Table, precision: float, context: Side, options: Options, option: int
) -> float:
    """One option's tokens, alone and crossed with the context."""
    total, prior = 0.0, precision * size(options, option)
    for t in range(options.starts[option], options.starts[option + 1]):
        hashed, value = options.hashes[t], options.values[t]
        total += term(table, prior, hashed, value)
        for c in range(len(context.hashes)):
            crossed = cross(context.hashes[c], hashed)
            total += term(table, prior, crossed, context.values[c] * value)
    return total


@compiled
def option_sums(table: Table, precision: float, context: Side, options: Options) -> FloatArray:
    """`option_sum` of every option; shape (options,)."""
    sums = np.empty(len(options.starts) - 1)
    for option in range(len(sums)):
        sums[option] = option_sum(table, precision, context, options, option)
    return sums


@compiled
def pair_sum(  # noqa: PLR0913, PLR0917 - two sides and an option of each
    table: Table, precision: float, first: Options, i: int, second: Options, j: int
) -> float:
    """Every token of one option crossed with every token of another."""
    total, prior = 0.0, precision * size(first, i) * size(second, j)
    for s in range(first.starts[i], first.starts[i + 1]):
        for t in range(second.starts[j], second.starts[j + 1]):
            crossed = cross(first.hashes[s], second.hashes[t])
            total += term(table, prior, crossed, first.values[s] * second.values[t])
    return total


@compiled
def pair_sums(table: Table, precision: float, first: Options, second: Options) -> FloatArray:
    """`pair_sum` of all options of two sides; shape (first, second)."""
    sums = np.empty((len(first.starts) - 1, len(second.starts) - 1))
    for i in range(sums.shape[0]):
        for j in range(sums.shape[1]):
            sums[i, j] = pair_sum(table, precision, first, i, second, j)
    return sums


@compiled
def triple_sum(  # noqa: PLR0913, PLR0917 - two sides and an option of each, and the context
    table: Table, precision: float, context: Side, first: Options, i: int, second: Options, j: int
) -> float:
    """`pair_sum`, and the same crossed with the context."""
    total, prior = 0.0, precision * size(first, i) * size(second, j)
    for s in range(first.starts[i], first.starts[i + 1]):
        for t in range(second.starts[j], second.starts[j + 1]):
            value = first.values[s] * second.values[t]
            crossed = cross(first.hashes[s], second.hashes[t])
            total += term(table, prior, crossed, value)
            for c in range(len(context.hashes)):
                inner = cross(cross(context.hashes[c], first.hashes[s]), second.hashes[t])
                total += term(table, prior, inner, context.values[c] * value)
    return total


@compiled
def affinity_sum(
    table: Table, precision: float, facts: Side, options: Options, option: int
) -> float:
    """What the request says of one offer, alone and crossed with the offer's tokens."""
    total = 0.0
    for r in range(len(facts.hashes)):
        total += term(table, precision, facts.hashes[r], facts.values[r])
        for t in range(options.starts[option], options.starts[option + 1]):
            crossed = cross(facts.hashes[r], options.hashes[t])
            total += term(table, precision, crossed, facts.values[r] * options.values[t])
    return total
