"""What a policy sees of one decision: features, send windows and everything that may be chosen."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple, Protocol

from policy.catalog import Catalog
from policy.features import Features
from policy.identity import IdentityCache

NODES_KEPT = 65_536
"""Nodes of all recorded trees that are kept: most records of a log share theirs."""
MASKS_KEPT = 4096
"""Sets of send windows whose numbers are kept: most actions share theirs."""


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
PlainTree = tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
"""The same without names for its parts, as records hold it."""
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

    def first_from(self, moment_ms: int) -> int:
        """The first window whose send time is not before a moment; their number if none is."""
        if moment_ms <= self.earliest_ms:
            return 0
        return min(-((self.start_ms - moment_ms) // self.step_ms), len(self.local_minutes))

    def between(self, start_ms: int, end_ms: int) -> int:
        """The windows, as a bit mask, whose send times lie within [start_ms, end_ms)."""
        first, beyond = self.first_from(start_ms), self.first_from(end_ms)
        return (1 << beyond) - (1 << first) if first < beyond else 0


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

    def count(self, path: Path) -> int:
        """How many actions are eligible after `path`."""
        if not path:
            return len(self.tree)
        channels = self.tree[path[0]].channels
        return (
            len(channels) if len(path) == Stage.CHANNEL else channels[path[1]].windows.bit_count()
        )

    def action(self, path: Path) -> tuple[str, str, int]:
        """Offer, channel and number of the send window at the end of a whole path."""
        offer = self.tree[path[0]]
        return offer.offer, offer.channels[path[1]].channel, self.windows(path)[path[2]]

    def windows(self, path: Path) -> tuple[int, ...]:
        """Numbers of the eligible send windows of an offer and channel."""
        return bits(self.tree[path[0]].channels[path[1]].windows)


class RecordedGrid(Protocol):
    """The send windows of a stored decision."""

    @property
    def start_ms(self) -> int:
        """Start of window 0, Unix time."""

    @property
    def step_ms(self) -> int:
        """Length of a window."""

    @property
    def earliest_ms(self) -> int:
        """Nothing is sent before this moment."""

    @property
    def local_minutes(self) -> tuple[int, ...]:
        """Minute of the week at each window's start, in the subject's zone."""


class Recorded(Protocol):
    """What a stored decision tells of its situation."""

    @property
    def features(self) -> Features:
        """Features of the request."""

    @property
    def offer_features(self) -> Mapping[str, Features]:
        """Features of the request for single offers."""

    @property
    def grid(self) -> RecordedGrid:
        """The send windows."""

    @property
    def tree(self) -> PlainTree:
        """Everything that could be chosen."""


def situation_of(record: Recorded, catalog: Catalog) -> Situation:
    """What the policy saw when it made a stored decision."""
    grid = record.grid
    windows = Grid(grid.start_ms, grid.step_ms, grid.earliest_ms, grid.local_minutes)
    return Situation(catalog, record.features, record.offer_features, windows, _named(record.tree))


@lru_cache(maxsize=MASKS_KEPT)
def bits(mask: int) -> tuple[int, ...]:
    """Positions of the bits that are set, ascending."""
    return tuple(index for index in range(mask.bit_length()) if mask >> index & 1)


def _named_tree(tree: PlainTree) -> Tree:
    return tuple(
        [
            OfferNode(offer, tuple([ChannelNode(*channel) for channel in channels]))
            for offer, channels in tree
        ]
    )


def _size(tree: Tree, _: PlainTree) -> int:
    return sum([1 + len(offer.channels) for offer in tree])


_named = IdentityCache(_named_tree, NODES_KEPT, _size)
