"""Worlds that `sendwise simulate` knows, by name."""

from collections.abc import Callable, Mapping

from replay.simulator.campaign import CampaignWorld
from replay.simulator.errors import UnknownWorldError
from replay.simulator.reference import ReferenceWorld
from replay.simulator.world import World

WORLDS: Mapping[str, Callable[[float, int], World]] = {
    ReferenceWorld.name: ReferenceWorld,
    CampaignWorld.name: CampaignWorld,
}
"""What makes each world from its base and seed, by name."""


def make_world(name: str, base: float, seed: int) -> World:
    """A world by name.

    Args:
        name: one of `WORLDS`.
        base: logit of a reward without effects.
        seed: of all that is drawn in it.

    Raises:
        UnknownWorldError: if there is none of this name.
        OutOfRangeError: if the world refuses the base or the seed.
    """
    if name not in WORLDS:
        raise UnknownWorldError(name, list(WORLDS))
    return WORLDS[name](base, seed)
