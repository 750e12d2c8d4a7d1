"""An eligible tree as arrays: its nodes one after the other, and the tokens of its options."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policy.blocks import IntArray
from policy.catalog import NO_CHANNEL, Catalog
from policy.identity import IdentityCache
from policy.sides import Choices, choices
from policy.situation import OfferNode, Tree

MASK_BITS = 64
LAYOUT_BYTES_KEPT = 32 * 1024 * 1024
"""Of all layouts that are kept for a catalog."""
OVERHEAD_BYTES, OFFER_BYTES = 4096, 256
"""What a layout and its tree take beside the numbers, about: at all, and for each offer."""
CATALOGS_KEPT = 16


class Nodes(NamedTuple):
    """The eligible pairs of offer and channel, in the order of the tree."""

    starts: IntArray
    """Where each offer's channels begin, and where the last one's end; shape (offers + 1,)."""
    channels: IntArray
    """Each node's channel; shape (nodes,)."""
    masks: NDArray[np.uint64]
    """Bit k % 64 of word k // 64 is set if window k is eligible; shape (nodes, words)."""
    timed: NDArray[np.bool_]
    """Whether a channel sends at some time, as all do but that of no send; shape (channels,)."""


class Layout(NamedTuple):
    """A tree as arrays."""

    nodes: Nodes
    offers: Choices
    channels: Choices


class Layouts:
    """Makes the layouts of one catalog's trees, each once."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._kept = IdentityCache(self._made, LAYOUT_BYTES_KEPT, lambda made, _: size_bytes(made))

    def __call__(self, tree: Tree) -> Layout:
        """The layout of a tree."""
        return self._kept(tree)

    def _made(self, tree: Tree) -> Layout:
        names = list(dict.fromkeys(node.channel for offer in tree for node in offer.channels))
        tokens = self._catalog
        return Layout(
            _nodes(tree, names),
            choices("o", [tokens.offer_tokens[node.offer] for node in tree]),
            choices("n", [tokens.channel_tokens[name] for name in names]),
        )


def size_bytes(layout: Layout) -> int:
    """Memory that a layout takes, about."""
    sides = (side for choices in layout[1:] for side in choices)
    numbers = sum(part.nbytes for parts in (layout.nodes, *sides) for part in parts)
    return OVERHEAD_BYTES + OFFER_BYTES * (len(layout.nodes.starts) - 1) + numbers


layouts = IdentityCache(Layouts, CATALOGS_KEPT)
"""The layouts of a catalog."""


def _nodes(tree: Sequence[OfferNode], names: list[str]) -> Nodes:
    places = {name: place for place, name in enumerate(names)}
    flat = [node for offer in tree for node in offer.channels]
    # Most nodes share their windows with others.
    masks = {mask: place for place, mask in enumerate({node.windows for node in flat})}
    words = max(-(-mask.bit_length() // MASK_BITS) for mask in masks)
    table = np.array([_words(mask, words) for mask in masks], dtype=np.uint64)
    return Nodes(
        np.cumsum([0, *(len(offer.channels) for offer in tree)], dtype=np.int64),
        np.array([places[node.channel] for node in flat], dtype=np.int64),
        table[[masks[node.windows] for node in flat]],
        np.array([name != NO_CHANNEL for name in names]),
    )


def _words(mask: int, count: int) -> list[int]:
    return [mask >> MASK_BITS * word & (1 << MASK_BITS) - 1 for word in range(count)]
