"""Names the rule for everything that is not eligible; walked only where a caller asks for it."""

from collections.abc import Iterator, Mapping

from policy.catalog import NO_SEND
from policy.reasons import BYPASSABLE, ORDER, Reason, Suppression
from policy.steps import Checks, Step


def suppressions(checks: Checks) -> Iterator[Suppression]:
    """Each closed channel, each offer that is out, and each pair that is out by itself."""
    channels = {name: checks.of_channel(name) for name in checks.catalog.channels}
    closed = {name: checks.reason(steps) for name, steps in channels.items()}
    yield from (Suppression("", name, reason) for name, reason in closed.items() if reason)
    open_ = {name: steps for name, steps in channels.items() if not closed[name]}
    for name in checks.catalog.offers:
        yield from _of_offer(checks, name, open_)
    if checks.catalog.no_send is not None and not checks.listed_offers.allows(NO_SEND):
        yield Suppression(NO_SEND, "", Reason.CALLER)


def _of_offer(checks: Checks, name: str, open_: Mapping[str, list[Step]]) -> Iterator[Suppression]:
    own = checks.of_offer(name)
    if reason := checks.reason(own):
        yield Suppression(name, "", reason)
        return
    gone = {
        channel: checks.reason([*open_[channel], *own, *checks.of_pair(name, channel)])
        for channel in checks.catalog.offers[name].channels
        if channel in open_
    }
    yield from (Suppression(name, one, reason) for one, reason in gone.items() if reason)
    if all(gone.values()):
        yield Suppression(name, "", Reason.NO_CHANNEL)


def bypassed(checks: Checks, offer: str, channel: str, window: int) -> tuple[Reason, ...]:
    """The rules that forbid a window of an offer on a channel, but not to this critical request."""
    if offer == NO_SEND or not checks.request.critical:
        return ()
    steps = [
        *checks.of_channel(channel), *checks.of_offer(offer), *checks.of_pair(offer, channel)
    ]  # fmt: skip
    broken = {reason for reason, allowed in steps if not allowed >> window & 1}
    return tuple(reason for reason in ORDER if reason in broken & BYPASSABLE)
