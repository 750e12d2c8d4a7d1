"""Compiled loops that learn as Vowpal Wabbit does and note what each block would have foreseen."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policy.blocks import FloatArray, IntArray, cross
from policy.compiled import compiled
from policy.crosses import ALL, SIDES
from policy.vw import CONSTANT, SHARE_MIN, STRIDE_SHIFT

SLOTS = 32
"""Each context feature has one of so many, by its name; two of the same slot share their blocks."""
BLOCKS = len(SIDES) + SLOTS * len(ALL)
"""First what all actions share; then the other sides alone; then each cross, by context feature if
it has the context."""
SHARED = 0
"""The block of the constant and the context alone, which make no action better than another."""
NO_SIDE = -1
"""In place of a third side, where two are crossed."""


class Terms(NamedTuple):
    """The weights that an example has; arrays of shape (terms,)."""

    places: IntArray
    factors: FloatArray
    blocks: IntArray


Memory = NDArray[np.float32]
"""What FTRL keeps of each weight: itself, its z and its sum of squared gradients, side by side in
memory; shape (2**18, 3)."""
WEIGHT, Z, SQUARES = range(3)

Evidence = NDArray[np.float64]
"""Derivatives of the log likelihood in the blocks' factors, summed over examples: the gradient,
then the upper half of the negative second derivatives; shape (1 + BLOCKS, BLOCKS)."""


@compiled
def lay_out(marks: IntArray, values: FloatArray, starts: IntArray, crosses: IntArray) -> Terms:
    """The weights of an example: those of its tokens, of their crosses, and the constant.

    Args:
        marks: hashes of all tokens, side by side, the context first; and for each its context
            feature's slot, 0 for other sides; shape (2, tokens).
        values: of the same.
        starts: where each side begins, and where the last one ends.
        crosses: sides of each cross, and its place among all; shape (crosses, 4).
    """
    hashes, slots = marks[0], marks[1]
    counts = starts[1:] - starts[:-1]
    total = 1 + len(hashes)
    for i, j, h, _ in crosses:
        total += counts[i] * counts[j] * (1 if h == NO_SIDE else counts[h])
    places, factors = np.empty(total, np.int64), np.empty(total)
    blocks = np.zeros(total, np.int64)
    places[0], factors[0] = CONSTANT, 1.0
    m = 1
    for side in range(len(counts)):
        for t in range(starts[side], starts[side + 1]):
            places[m], factors[m], blocks[m] = hashes[t] >> STRIDE_SHIFT, values[t], side
            m += 1
    for i, j, h, place in crosses:
        for s in range(starts[i], starts[i + 1]):
            block = len(counts) + place * SLOTS + slots[s]
            for t in range(starts[j], starts[j + 1]):
                pair, value = cross(hashes[s], hashes[t]), values[s] * values[t]
                if h == NO_SIDE:
                    places[m], factors[m], blocks[m] = pair >> STRIDE_SHIFT, value, block
                    m += 1
                    continue
                for u in range(starts[h], starts[h + 1]):
                    places[m] = cross(pair, hashes[u]) >> STRIDE_SHIFT
                    factors[m], blocks[m] = value * values[u], block
                    m += 1
    return Terms(places, factors, blocks)


@compiled
def probability(logit: float) -> float:
    """Of a logit, held within Vowpal Wabbit's own limits."""
    return 1.0 / (1.0 + math.exp(-min(max(logit, -50.0), 50.0)))


@compiled
def update(memory: Memory, terms: Terms, label: float, weight: float, target: FloatArray) -> None:
    """FTRL-proximal with beta 1 (McMahan et al. 2013, algorithm 1), as `policy.vw` sets it."""
    start, rate = target[2], target[3]
    logit = start
    for k in range(len(terms.places)):
        logit += memory[terms.places[k], WEIGHT] * terms.factors[k]
    error = weight * (probability(logit) - label)
    for k in range(len(terms.places)):
        place = terms.places[k]
        gradient = error * terms.factors[k]
        before = memory[place, SQUARES]
        after = before + gradient * gradient
        step = (math.sqrt(after) - math.sqrt(before)) / rate
        memory[place, Z] += gradient - step * memory[place, WEIGHT]
        memory[place, SQUARES] = after
        memory[place, WEIGHT] = -memory[place, Z] * rate / (1.0 + math.sqrt(after))


@compiled
def foresee(
    memory: Memory, terms: Terms, target: FloatArray, factors: FloatArray, evidence: Evidence
) -> None:
    """Adds to the evidence what an example says of the blocks' factors, then learns the example.

    Args:
        memory: changed.
        terms: the example's.
        target: share of the reward, weight of the example, start and rate of the regression.
        factors: of the blocks, as they are now.
        evidence: changed.
    """
    share, weight, start = target[0], target[1], target[2]
    sums = np.zeros(len(factors))
    for k in range(len(terms.places)):
        sums[terms.blocks[k]] += memory[terms.places[k], WEIGHT] * terms.factors[k]
    used = np.flatnonzero(sums)
    logit = start
    for b in used:
        logit += factors[b] * sums[b]
    expected = probability(logit)
    # The weight is the root of what an example counts for: see `policy.learning`.
    pull = weight * weight * (share - expected)
    bend = weight * weight * expected * (1.0 - expected)
    for n in range(len(used)):
        i = used[n]
        evidence[0, i] += pull * sums[i]
        bent = bend * sums[i]
        for j in used[n:]:
            evidence[1 + i, j] += bent * sums[j]
    if share > SHARE_MIN:
        update(memory, terms, 1.0, weight * share, target)
    if 1.0 - share > SHARE_MIN:
        update(memory, terms, 0.0, weight * (1.0 - share), target)
