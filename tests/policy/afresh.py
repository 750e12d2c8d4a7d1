"""Situations as if nothing had been asked before: equal ones, after everything was forgotten."""

import sys
from dataclasses import replace

from policy.situation import ChannelNode, OfferNode, Situation, Tree


def afresh(situation: Situation) -> Situation:
    """Empties the caches of functions; an equal situation whose tree and catalog are others.

    What is kept by identity is not found for these.
    """
    forget()
    catalog = situation.catalog.model_copy()
    return replace(situation, tree=copied(situation.tree), catalog=catalog)


def copied(tree: Tree) -> Tree:
    """An equal tree that shares no object with the first."""
    return tuple(
        OfferNode(node.offer, tuple(ChannelNode(*channel) for channel in node.channels))
        for node in tree
    )


def forget() -> None:
    """Empties the cache of every function of `policy`."""
    for name, module in list(sys.modules.items()):
        if name.startswith("policy."):
            for found in list(vars(module).values()):
                if hasattr(found, "cache_clear"):
                    found.cache_clear()
