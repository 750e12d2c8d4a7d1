"""An eligible tree as compiled code walks it: one pair of offer and channel after the other."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policy.blocks import FloatArray, IntArray
from policy.compiled import inner, leaf

MASK_BITS = 64
Masks = NDArray[np.uint64]
"""Bit k % 64 of word k // 64 is set if window k is eligible; shape (rows, words)."""


class Packed(NamedTuple):
    """A tree as arrays; offers and channels by their places in the catalog.

    Most offers have the same channels and windows as others: each such pattern is written once.
    """

    offers: IntArray
    """Each offer's place; shape (offers,)."""
    patterns: IntArray
    """Each offer's pattern; shape (offers,)."""
    starts: IntArray
    """Where each pattern's rows begin, and where the last one's end; shape (patterns + 1,)."""
    channels: IntArray
    """Each row's channel; shape (rows,)."""
    masks: Masks


class Nodes(NamedTuple):
    """The eligible pairs of offer and channel, in the order of the tree."""

    starts: IntArray
    """Where each offer's nodes begin, and where the last one's end; shape (offers + 1,)."""
    channels: IntArray
    """Each node's channel, by its place among `used`; shape (nodes,)."""
    rows: IntArray
    """Each node's row of `masks`; shape (nodes,)."""
    masks: Masks
    used: IntArray
    """Places, in the catalog, of the channels that are in the tree; shape (channels,)."""


@inner
def used_channels(tree: Packed, count: int) -> tuple[IntArray, IntArray]:
    """The channels of a tree, ascending, and for each of the catalog's its place among them."""
    places = np.empty(count, dtype=np.int64)
    for channel in range(count):
        places[channel] = -1
    for row in range(len(tree.channels)):
        places[tree.channels[row]] = 0
    used = np.empty(count, dtype=np.int64)
    found = 0
    for channel in range(count):
        if places[channel] == 0:
            used[found], places[channel] = channel, found
            found += 1
    return used[:found], places


@inner
def unpacked(tree: Packed, channel_count: int) -> Nodes:
    """The nodes of a tree, given how many channels the catalog has."""
    used, places = used_channels(tree, channel_count)
    starts = np.empty(len(tree.offers) + 1, dtype=np.int64)
    starts[0] = 0
    for offer in range(len(tree.offers)):
        pattern = tree.patterns[offer]
        starts[offer + 1] = starts[offer] + tree.starts[pattern + 1] - tree.starts[pattern]
    channels = np.empty(starts[-1], dtype=np.int64)
    rows = np.empty(starts[-1], dtype=np.int64)
    for offer in range(len(tree.offers)):
        row = tree.starts[tree.patterns[offer]]
        for node in range(starts[offer], starts[offer + 1]):
            rows[node], channels[node] = row, places[tree.channels[row]]
            row += 1
    return Nodes(starts, channels, rows, tree.masks, used)


@leaf
def word_of(masks: Masks, row: int, window: int) -> np.uint64:
    """The word with the bit of a window."""
    word = window // MASK_BITS
    # Masks end with the last eligible window, not with the grid; compiled code checks no bounds.
    return masks[row, word] if word < masks.shape[1] else np.uint64(0)


@leaf
def has_bit(word: np.uint64, window: int) -> bool:
    """Whether a window's bit is set in its word."""
    return bool((word >> np.uint64(window % MASK_BITS)) & np.uint64(1))


@inner
def windows_of(masks: Masks, row: int, count: int) -> IntArray:
    """The eligible ones of so many windows in a row, ascending."""
    found = np.empty(count, dtype=np.int64)
    kept, word = 0, np.uint64(0)
    for window in range(count):
        if window % MASK_BITS == 0:
            word = word_of(masks, row, window)
        if has_bit(word, window):
            found[kept] = window
            kept += 1
    return found[:kept]


@leaf
def first_best(masks: Masks, row: int, logits: FloatArray) -> int:
    """The eligible window of the highest logit; the first one of equal ones."""
    best, highest, word = -1, 0.0, np.uint64(0)
    for window in range(len(logits)):
        if window % MASK_BITS == 0:
            word = word_of(masks, row, window)
        if has_bit(word, window) and (best < 0 or logits[window] > highest):
            best, highest = window, logits[window]
    return best
