"""Keyed draws: numbers in [0, 1) that anyone can recompute from a decision's id."""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from policy.compiled import compiled

_BITS = 53  # of a float64's fraction: every multiple of 2**-53 in [0, 1) is equally likely


def uniform(entropy: int, purpose: str) -> float:
    """A number in [0, 1) for one purpose, such as "offer", of one decision.

    Args:
        entropy: the random bits of the decision id, below 2**64.
        purpose: up to 16 bytes; draws for different purposes are independent.
    """
    return hashed(entropy.to_bytes(8, "big"), purpose)


def hashed(key: bytes, purpose: str) -> float:
    """A number in [0, 1) that depends on `key` and `purpose` alone (BLAKE2b, RFC 7693)."""
    digest = blake2b(key, digest_size=8, person=purpose.encode()).digest()
    return (int.from_bytes(digest, "big") >> (64 - _BITS)) * 2.0**-_BITS


@compiled
def pick(pmf: NDArray[np.float64], draw: float) -> int:
    """Index of the first action at which the running sum of `pmf` exceeds `draw`.

    Args:
        pmf: shape (actions,), sums to 1 up to rounding.
        draw: in [0, 1).
    """
    total, last = 0.0, 0
    for action in range(len(pmf)):
        total += pmf[action]
        if total > draw:
            return action
        if pmf[action] > 0.0:
            last = action
    # Rounding may leave the sum a hair below 1, and the draw in between.
    return last
