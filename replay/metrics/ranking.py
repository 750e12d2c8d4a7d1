"""How high a policy ranks the offers that people respond to: precision@k and NDCG@k.

Only the response to the chosen offer is known. Each interaction stands for all that the logging
policy might have chosen instead, so it counts 1 / (probability of its offer) times (inverse
propensity scoring of rankings: Joachims, Swaminathan and Schnabel 2017). Where offers are equally
likely by the pmf, every order of them is.
"""

import math
from functools import lru_cache
from typing import NamedTuple

from policy.policies import FloatArray

K_MAX = 1000


class Place(NamedTuple):
    """Where an offer stands in a ranking."""

    above: int
    """Offers that are more likely."""
    tied: int
    """Offers that are as likely, itself included."""


def place_of(pmf: FloatArray, offer: int) -> Place:
    """The place of an offer in the ranking by a pmf over offers."""
    own = pmf[offer]
    return Place(int((pmf > own).sum()), int((pmf == own).sum()))


def share_within(place: Place, k: int) -> float:
    """Chance that the offer is among the first k."""
    return min(max((k - place.above) / place.tied, 0.0), 1.0)


@lru_cache(maxsize=65_536)
def gain(place: Place, k: int) -> float:
    """Expected discounted gain of the offer: 1 / log2(1 + rank) within the first k, 0 below.

    With a single relevant offer the ideal gain is 1, so that this is its NDCG (Järvelin and
    Kekäläinen 2002).
    """
    ranks = range(place.above + 1, min(place.above + place.tied, k) + 1)
    return math.fsum(1.0 / math.log2(1.0 + rank) for rank in ranks) / place.tied
