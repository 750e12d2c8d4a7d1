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
NODES_KEPT = 65_536
"""Nodes of all layouts that are kept for a catalog: some hundred bytes each."""
OVERHEAD_NODES = 64
"""What a layout takes beside its nodes, in nodes."""
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
        self._kept = IdentityCache(self._made, NODES_KEPT, _size)

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


def _size(layout: Layout) -> int:
    return OVERHEAD_NODES + len(layout.nodes.channels)


layouts = IdentityCache(Layouts, CATALOGS_KEPT)
"""The layouts of a catalog."""


def _nodes(tree: Sequence[OfferNode], names: list[str]) -> Nodes:
    places = {name: place for place, name in enumerate(names)}
    flat = [node for offer in tree for node in offer.channels]
    words = max(-(-node.windows.bit_length() // MASK_BITS) for node in flat)
    return Nodes(
        np.cumsum([0, *(len(offer.channels) for offer in tree)], dtype=np.int64),
        np.array([places[node.channel] for node in flat], dtype=np.int64),
        np.array([_words(node.windows, words) for node in flat], dtype=np.uint64),
        np.array([name != NO_CHANNEL for name in names]),
    )


def _words(mask: int, count: int) -> list[int]:
    return [mask >> MASK_BITS * word & (1 << MASK_BITS) - 1 for word in range(count)]
