"""What a policy sees of one decision: features, send windows and everything that may be chosen."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from policy.catalog import Catalog
from policy.features import Features


class Stage(IntEnum):
    """The stages of an action, in the order in which they are drawn."""

    OFFER = 0
    CHANNEL = 1
    SEND_TIME = 2

    @property
    def label(self) -> str:
        """The name that people and draws use: `offer`, `channel`, `send_time`."""
        return self.name.lower()


class ChannelNode(NamedTuple):
    """An eligible channel of an offer."""

    channel: str
    windows: int
    """Bit k is set if send window k is eligible."""


class OfferNode(NamedTuple):
    """An eligible offer."""

    offer: str
    channels: tuple[ChannelNode, ...]


Tree = tuple[OfferNode, ...]
Path = tuple[int, ...]
"""Indices of the choices made so far: () at the offer stage, (offer,), (offer, channel)."""


class Grid(NamedTuple):
    """The send windows of a decision."""

    start_ms: int
    """Start of window 0, Unix time."""
    step_ms: int
    """Length of a window."""
    earliest_ms: int
    """Nothing is sent before this moment: now, or the caller's earliest send time."""
    local_minutes: tuple[int, ...]
    """For each window the minute of the week at its start in the subject's zone, from Monday."""

    def send_time_ms(self, window: int) -> int:
        """The first moment of a window that is not too early."""
        return max(self.start_ms + window * self.step_ms, self.earliest_ms)

    def send_before_ms(self, window: int) -> int:
        """The end of a window, exclusive."""
        return self.start_ms + (window + 1) * self.step_ms


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a policy may base its choice on."""

    catalog: Catalog
    features: Features
    offer_features: Mapping[str, Features]
    grid: Grid
    tree: Tree

    def names(self, path: Path) -> tuple[str, ...]:
        """Names of the actions that are eligible after `path`: of offers, channels or windows."""
        if not path:
            return tuple(node.offer for node in self.tree)
        if len(path) == Stage.CHANNEL:
            return tuple(node.channel for node in self.tree[path[0]].channels)
        return tuple(str(window) for window in self.windows(path))

    def action(self, path: Path) -> tuple[str, str, int]:
        """Offer, channel and number of the send window at the end of a whole path."""
        offer = self.tree[path[0]]
        return offer.offer, offer.channels[path[1]].channel, self.windows(path)[path[2]]

    def windows(self, path: Path) -> tuple[int, ...]:
        """Numbers of the eligible send windows of an offer and channel."""
        return bits(self.tree[path[0]].channels[path[1]].windows)


def restored(
    catalog: Catalog,
    features: Features,
    offer_features: Mapping[str, Features],
    grid: tuple[int, int, int, tuple[int, ...]],
    tree: tuple[tuple[str, tuple[tuple[str, int], ...]], ...],
) -> Situation:
    """The situation of an earlier decision from the plain values of its record."""
    nodes = tuple(
        OfferNode(offer, tuple(ChannelNode(*channel) for channel in channels))
        for offer, channels in tree
    )
    return Situation(catalog, features, offer_features, Grid(*grid), nodes)


def bits(mask: int) -> tuple[int, ...]:
    """Positions of the bits that are set, ascending."""
    return tuple(index for index in range(mask.bit_length()) if mask >> index & 1)
