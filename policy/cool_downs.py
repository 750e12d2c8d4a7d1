"""Cool-downs: a pause after something that a subject did, such as to buy or to unsubscribe."""

from collections.abc import Iterator

from policy.bars import ALWAYS_MS, Bar
from policy.catalog import Catalog
from policy.catalog_rules import CoolDown, days_ms
from policy.reasons import Reason
from policy.standing import Response, Standing


def cool_down_bars(catalog: Catalog, standing: Standing) -> Iterator[Bar]:
    """The bars of every cool-down.

    They begin at once, whenever a response occurred: processes' clocks differ, and a subject who
    has unsubscribed must not hear from us because of it.
    """
    for rule in catalog.cool_downs:
        for response in standing.responses:
            if response.name == rule.after:
                yield from _bars(rule, response)


def _bars(rule: CoolDown, response: Response) -> Iterator[Bar]:
    end_ms = response.occurred_at_ms + days_ms(rule.days)
    offers = _scope(rule.offers, response.offer, rule.same_offer)
    channels = _scope(rule.channels, response.channel, rule.same_channel)
    # A response to what the rule does not name leaves nothing to hold back.
    if offers != frozenset() and channels != frozenset():
        yield Bar(Reason.COOL_DOWN, ALWAYS_MS, end_ms, offers, channels)


def _scope(names: tuple[str, ...], responded: str, same: bool) -> frozenset[str] | None:  # noqa: FBT001
    """The names that a pause concerns; None for all."""
    if not same:
        return frozenset(names) or None
    return frozenset((responded,)) if not names or responded in names else frozenset()
