"""Names the rule for everything that is not eligible; walked only where a caller asks for it."""

from collections.abc import Iterator

from policy.catalog import NO_SEND
from policy.reasons import BYPASSABLE, ORDER, Reason, Suppression
from policy.steps import Checks, is_listed


def suppressions(checks: Checks) -> Iterator[Suppression]:
    """Each closed channel, each offer that is out, and each pair that is out by itself."""
    closed = set()
    for name in checks.catalog.channels:
        if reason := checks.reason(checks.of_channel(name)):
            closed.add(name)
            yield Suppression("", name, reason)
    for name in checks.catalog.offers:
        yield from _of_offer(checks, name, closed)
    lists = checks.request.eligible_offers, checks.request.excluded_offers
    if checks.catalog.no_send is not None and not is_listed(NO_SEND, *lists):
        yield Suppression(NO_SEND, "", Reason.CALLER)


def _of_offer(checks: Checks, name: str, closed: set[str]) -> Iterator[Suppression]:
    if reason := checks.reason(checks.of_offer(name)):
        yield Suppression(name, "", reason)
        return
    channels = [one for one in checks.catalog.offers[name].channels if one not in closed]
    gone = {one: checks.reason(checks.of_pair(name, one)) for one in channels}
    yield from (Suppression(name, one, reason) for one, reason in gone.items() if reason)
    if all(gone.values()):
        yield Suppression(name, "", Reason.NO_CHANNEL)


def bypassed(checks: Checks, offer: str, channel: str, window: int) -> tuple[Reason, ...]:
    """The rules that forbid a window of an offer on a channel, but not to this critical request."""
    if offer == NO_SEND or not checks.request.critical:
        return ()
    steps = checks.of_pair(offer, channel)
    broken = {reason for reason, allowed in steps if not allowed >> window & 1}
    return tuple(reason for reason in ORDER if reason in broken & BYPASSABLE)
