"""What is no mistake in a catalog, but hardly meant: offers, channels and shares without effect."""

from collections.abc import Iterator
from datetime import datetime
from math import fsum

from policy.catalog import Catalog, Channel, SendTimes
from policy.errors import Problem
from policy.places import Location, dotted, line_of
from policy.send_times import DAY_MINUTES, MINUTE_MS, TICK_MS, awake_mask, grid

WEEK_MS = 7 * DAY_MINUTES * MINUTE_MS
_Notes = Iterator[tuple[Location, str]]


def notes_of(catalog: Catalog, text: str, now: datetime) -> list[Problem]:
    """What to look at again, each with its place and its line.

    Args:
        catalog: a valid catalog.
        text: the file that it was read from.
        now: with a zone; offers may have ended by then.
    """
    found = [*_channels(catalog, now), *_offers(catalog, now), *_rest(catalog)]
    return [Problem(dotted(path), note, line_of(text, path)) for path, note in found]


def _channels(catalog: Catalog, now: datetime) -> _Notes:
    used = {channel for offer in catalog.offers.values() for channel in offer.channels}
    for name, channel in catalog.channels.items():
        if name not in used:
            yield ("channels", name), "no offer names it, so nothing is sent there"
        if not _is_ever_open(channel, catalog.send_times, now):
            yield ("channels", name), "some of every send window is quiet, so nothing is sent there"


def _is_ever_open(channel: Channel, send_times: SendTimes, now: datetime) -> bool:
    """Whether something can be sent at some moment of a week, in the catalog's zone."""
    start_ms = int(now.timestamp() * 1000) // TICK_MS * TICK_MS
    first = send_times.model_copy(update={"windows": 1})
    moments = range(start_ms, start_ms + WEEK_MS, TICK_MS)
    windows = (grid(first, send_times.time_zone, moment, None) for moment in moments)
    return any(awake_mask(channel, send_times.time_zone, window) for window in windows)


def _offers(catalog: Catalog, now: datetime) -> _Notes:
    for name, offer in catalog.offers.items():
        if offer.valid_until is not None and offer.valid_until <= now:
            yield ("offers", name, "valid_until"), "has passed, so the offer is not sent any more"


def _rest(catalog: Catalog) -> _Notes:
    traffic = catalog.traffic
    if fsum((traffic.random, traffic.holdout, traffic.baseline)) >= 1.0:
        yield ("traffic",), "random, holdout and baseline take everybody; the champion gets nobody"
    if catalog.baseline is not None and not traffic.baseline:
        yield ("baseline",), "nobody gets it: traffic.baseline is 0"
    if not any(catalog.reward.weights.values()):
        yield ("reward", "weights"), "all are 0, so that no policy is better than another"
