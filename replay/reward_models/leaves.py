"""Whole actions of a situation, one after the other: offers, their channels, their send windows."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from policy.choice import stage_pmf
from policy.policies import FloatArray, Policy
from policy.situation import Path, Situation, Tree, bits

Ints = NDArray[np.int64]


@lru_cache(maxsize=256)
def leaves(tree: Tree) -> Ints:
    """Offer and channel by place, and number of the window, of all actions; shape (actions, 3)."""
    rows = [
        (offer, channel, window)
        for offer, node in enumerate(tree)
        for channel, below in enumerate(node.channels)
        for window in bits(below.windows)
    ]
    return np.asarray(rows, dtype=np.int64).reshape(-1, 3)


def place_of(situation: Situation, path: Path) -> int:
    """Where the action at the end of a path stands among them."""
    before = sum(
        below.windows.bit_count() for node in situation.tree[: path[0]] for below in node.channels
    )
    channels = situation.tree[path[0]].channels
    return before + sum(c.windows.bit_count() for c in channels[: path[1]]) + path[2]


def probabilities(policy: Policy, situation: Situation) -> FloatArray:
    """Probability of every whole action by a policy, in that order; sums to 1."""
    parts = []
    for offer, p_offer in enumerate(stage_pmf(policy, situation, ())):
        channels = stage_pmf(policy, situation, (offer,)) if p_offer > 0 else None
        for channel in range(situation.count((offer,))):
            p_pair = 0.0 if channels is None else p_offer * channels[channel]
            path = (offer, channel)
            if p_pair > 0:
                parts.append(p_pair * stage_pmf(policy, situation, path))
            else:  # what is never reached need not be asked for
                parts.append(np.zeros(situation.count(path)))
    return np.concatenate(parts)


def values(policy: Policy, situation: Situation) -> FloatArray:
    """A policy's own values of whole actions: those of the last stage, in that order."""
    parts: list[FloatArray] = []
    for offer in range(situation.count(())):
        for channel in range(situation.count((offer,))):
            found = policy.values(situation, (offer, channel))
            count = situation.count((offer, channel))
            parts.append(np.full(count, np.nan) if found is None else found)
    return np.concatenate(parts)
