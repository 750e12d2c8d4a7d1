"""Catalogs and eligible trees as arrays: a catalog's tokens once, and of each tree places."""

import numpy as np
from numpy.typing import NDArray

from policy.catalog import Catalog
from policy.identity import IdentityCache
from policy.nodes import MASK_BITS, Packed
from policy.sides import options
from policy.situation import ChannelNode, Tree

LAYOUT_BYTES_KEPT = 32 * 1024 * 1024
"""Of all layouts that are kept for a catalog."""
OVERHEAD_BYTES, OFFER_BYTES = 1024, 64
"""What a layout and its tree take beside the numbers, about: at all, and for each offer."""
CATALOGS_KEPT = 16

Pattern = tuple[ChannelNode, ...]
"""The eligible channels of an offer with their windows."""


class CatalogLayout:
    """The tokens of everything in a catalog, and its trees as places among them."""

    def __init__(self, catalog: Catalog) -> None:
        """Makes the tokens of a catalog; the channel of not sending comes last."""
        self.offers = options("o", list(catalog.offer_tokens.values()))
        self.channels = options("n", list(catalog.channel_tokens.values()))
        self._offers = {name: place for place, name in enumerate(catalog.offer_tokens)}
        self._channels = {name: place for place, name in enumerate(catalog.channel_tokens)}
        self.packed = IdentityCache(
            self._packed, LAYOUT_BYTES_KEPT, lambda made, _: size_bytes(made)
        )

    def _packed(self, tree: Tree) -> Packed:
        places = self._offers
        patterns, numbers = _patterns([node.channels for node in tree])
        rows = [row for pattern in patterns for row in pattern]
        return Packed(
            np.array([places[offer] for offer, _ in tree], dtype=np.int64),
            np.array(numbers, dtype=np.int64),
            np.cumsum([0, *map(len, patterns)], dtype=np.int64),
            np.array([self._channels[name] for name, _ in rows], dtype=np.int64),
            _masks([mask for _, mask in rows]),
        )


layouts = IdentityCache(CatalogLayout, CATALOGS_KEPT)
"""The layout of a catalog."""


def size_bytes(packed: Packed) -> int:
    """Memory that a tree's arrays take, about, with the tree itself."""
    numbers = sum(part.nbytes for part in packed)
    return OVERHEAD_BYTES + OFFER_BYTES * len(packed.offers) + numbers


def _patterns(each: list[Pattern]) -> tuple[list[Pattern], list[int]]:
    """The different patterns, and for each offer the number of its own."""
    # Mostly they are a few objects: to hash each would cost more than all else.
    objects = {id(pattern): pattern for pattern in each}
    numbers = {pattern: number for number, pattern in enumerate(dict.fromkeys(objects.values()))}
    by_id = {key: numbers[pattern] for key, pattern in objects.items()}
    return list(numbers), [by_id[id(pattern)] for pattern in each]


def _masks(masks: list[int]) -> NDArray[np.uint64]:
    """Bit masks of windows as words; shape (masks, words)."""
    words = -(-max(map(int.bit_length, masks)) // MASK_BITS)
    split = [
        [mask >> MASK_BITS * word & (1 << MASK_BITS) - 1 for word in range(words)] for mask in masks
    ]
    return np.array(split, dtype=np.uint64).reshape(len(masks), words)
