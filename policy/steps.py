"""What each rule leaves of the send windows: of a channel, of an offer, and of the two together.

The one place that says which rules there are and what each allows. `policy.eligible_tree` combines
them fast for all offers at once; `policy.suppressions` walks them one by one to name reasons.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from policy.bars import Bar
from policy.catalog import Catalog
from policy.reasons import BYPASSABLE, ORDER, Reason
from policy.request import Request
from policy.send_times import awake_mask, validity_mask, validity_ms, window_mask
from policy.situation import Grid

Step = tuple[Reason, int]
"""A rule, and the windows that it allows as a bit mask."""


class Barred(NamedTuple):
    """Windows that bars of one rule and scope forbid; see `policy.bars`."""

    reason: Reason
    windows: int
    offers: frozenset[str] | None
    channels: frozenset[str] | None

    def is_on(self, channel: str) -> bool:
        """Whether it concerns a channel."""
        return self.channels is None or channel in self.channels


@dataclass(frozen=True, slots=True)
class Listed:
    """What a caller's lists allow, which may have thousands of names."""

    eligible: frozenset[str]
    """Nothing else is allowed, unless this is empty."""
    excluded: frozenset[str]

    def allows(self, name: str) -> bool:
        """Whether a name is allowed."""
        return (not self.eligible or name in self.eligible) and name not in self.excluded


@dataclass(frozen=True)
class Checks:
    """A request with all that its rules depend on."""

    request: Request
    catalog: Catalog
    windows: Grid
    barred: tuple[Barred, ...] = ()

    @cached_property
    def listed_offers(self) -> Listed:
        """The offers of the caller's lists."""
        request = self.request
        return Listed(frozenset(request.eligible_offers), frozenset(request.excluded_offers))

    @cached_property
    def listed_channels(self) -> Listed:
        """The channels of the caller's lists."""
        request = self.request
        return Listed(frozenset(request.eligible_channels), frozenset(request.excluded_channels))

    @property
    def every(self) -> int:
        """All windows."""
        return (1 << len(self.windows.local_minutes)) - 1

    def of_channel(self, name: str) -> list[Step]:
        """What the rules of a channel leave, whatever is offered there."""
        request, channel = self.request, self.catalog.channels[name]
        wanted = self.listed_channels.allows(name)
        granted = channel.consent is None or channel.consent in request.granted_consents
        return [
            (Reason.CALLER, self.every if wanted else 0),
            (Reason.NO_CONSENT, self.every if granted else 0),
            (Reason.NO_SEND_WINDOW, window_mask(self.windows, request.latest_ms)),
            (
                Reason.QUIET_HOURS,
                awake_mask(channel, request.zone_name(self.catalog), self.windows),
            ),
            *self._bars(one for one in self.barred if one.offers is None and one.is_on(name)),
        ]

    def of_offer(self, name: str) -> list[Step]:
        """What the rules of an offer leave, wherever it is sent."""
        offer = self.catalog.offers[name]
        wanted = self.listed_offers.allows(name)
        return [
            (Reason.CALLER, self.every if wanted else 0),
            (
                Reason.OFFER_NOT_VALID,
                validity_mask(self.windows, *validity_ms(offer.valid_from, offer.valid_until)),
            ),
            *self._bars(
                one
                for one in self.barred
                if one.channels is None and one.offers is not None and name in one.offers
            ),
        ]

    def of_pair(self, offer: str, channel: str) -> list[Step]:
        """What the rules leave that are about just this offer on just this channel."""
        return [
            *self._bars(
                one
                for one in self.barred
                if one.offers is not None
                and one.channels is not None
                and offer in one.offers
                and channel in one.channels
            )
        ]

    def left(self, steps: Iterable[Step]) -> int:
        """The windows that all steps allow, but for those that the request bypasses."""
        windows = self.every
        for _, allowed in self.applied(steps):
            windows &= allowed
        return windows

    def reason(self, steps: Iterable[Step]) -> Reason | None:
        """The first rule, in the order of rules, after which nothing was left; None if any was."""
        steps = list(steps)
        if self.left(steps):
            return None
        windows = self.every
        for reason, allowed in sorted(self.applied(steps), key=_rank):
            windows &= allowed
            if not windows:
                return reason
        return None

    def applied(self, steps: Iterable[Step]) -> Iterable[Step]:
        """The steps without those that the request bypasses."""
        if not self.request.critical:
            return steps
        return (step for step in steps if step[0] not in BYPASSABLE)

    def _bars(self, barred: Iterable[Barred]) -> Iterable[Step]:
        return ((one.reason, self.every & ~one.windows) for one in barred)


def barred_windows(bars: Iterable[Bar], windows: Grid) -> tuple[Barred, ...]:
    """The bars that forbid any of the windows, taken together by rule and scope."""
    found: dict[tuple[Reason, frozenset[str] | None, frozenset[str] | None], int] = {}
    for bar in bars:
        if mask := windows.between(bar.start_ms, bar.end_ms):
            key = (bar.reason, bar.offers, bar.channels)
            found[key] = found.get(key, 0) | mask
    return tuple(
        Barred(reason, mask, offers, channels) for (reason, offers, channels), mask in found.items()
    )


def _rank(step: Step) -> int:
    return ORDER.index(step[0])
