"""History features: what a subject got and did, by channel, in the last days.

The service keeps the history itself and logs the features with the decision as they were used, so
that training sees what serving saw. They have names that no caller may use, under `history.`:

    history.sends_7d.CHANNEL     and opens, clicks, conversions; and the same over 30 days
    history.days_since_send      days since the last message was sent
    history.last_channel         its channel

Counts of zero are left out, and so are the last two for a subject who never got a message. Channels
that the catalog does not have are not counted: reports of what was really sent may name any number.
"""

from collections import Counter
from collections.abc import Iterator

from policy.catalog import Catalog
from policy.catalog_rules import DAY_MS, History
from policy.features import Features
from policy.request import HISTORY_PREFIX
from policy.standing import NO_STANDING, Contact, Standing, counted

DAYS = (7, 30)


def with_history(features: Features, catalog: Catalog, standing: Standing, now_ms: int) -> Features:
    """The features of a request and, where the catalog asks for them, those of its history."""
    if catalog.history is None or standing is NO_STANDING:
        return features
    contacts = counted(catalog, standing, now_ms, reach_ms=now_ms)
    sent = [one for one in contacts if one.send_time_ms <= now_ms]
    counts = Counter(_events(catalog, catalog.history, sent, standing, now_ms))
    return {
        **features,
        **{name: float(count) for name, count in counts.items()},
        **_last(sent, now_ms),
    }


def _events(
    catalog: Catalog, history: History, sent: list[Contact], standing: Standing, now_ms: int
) -> Iterator[str]:
    """The name of a feature for each time that it counts something."""
    for one in sent:
        if one.channel in catalog.channels:
            yield from _counters("sends", one.channel, now_ms - one.send_time_ms)
    kinds = {
        "opens": history.opens, "clicks": history.clicks, "conversions": history.conversions
    }  # fmt: skip
    for response in standing.responses:
        for kind, names in kinds.items():
            if response.name in names and response.channel in catalog.channels:
                yield from _counters(kind, response.channel, now_ms - response.occurred_at_ms)


def _counters(kind: str, channel: str, age_ms: int) -> Iterator[str]:
    for days in DAYS:
        if 0 <= age_ms < days * DAY_MS:
            yield f"{HISTORY_PREFIX}{kind}_{days}d.{channel}"


def _last(sent: list[Contact], now_ms: int) -> dict[str, float | str]:
    if not sent:
        return {}
    last = sent[-1]
    days = (now_ms - last.send_time_ms) / DAY_MS
    return {
        f"{HISTORY_PREFIX}days_since_send": round(days, 3),
        f"{HISTORY_PREFIX}last_channel": last.channel,
    }
