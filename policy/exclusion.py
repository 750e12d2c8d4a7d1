"""Exclusion groups: after one offer of a group, the others are out for a time.

The offer that was sent is not: how often it may come again is for a cap to say. A message that is
scheduled counts like one that was sent, and its time to both sides: which of two was decided first
makes no difference.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from policy.bars import Bar
from policy.catalog import Catalog
from policy.catalog_rules import days_ms
from policy.reasons import Reason
from policy.standing import Contact


def exclusion_bars(catalog: Catalog, contacts: Sequence[Contact]) -> Iterator[Bar]:
    """The bars of every exclusion group.

    Args:
        catalog: has the groups.
        contacts: those that count.
    """
    for group in catalog.exclusion_groups.values():
        length_ms, members = days_ms(group.days), _members(group.offers)
        for one in contacts:
            if one.offer in members:
                start_ms, end_ms = one.send_time_ms - length_ms + 1, one.send_time_ms + length_ms
                others = _others(group.offers, one.offer)
                yield Bar(Reason.EXCLUSION_GROUP, start_ms, end_ms, others)


def exclusion_reach_ms(catalog: Catalog) -> int:
    """The longest time for which any group excludes."""
    return max((days_ms(one.days) for one in catalog.exclusion_groups.values()), default=0)


@lru_cache(maxsize=1024)
def _members(offers: tuple[str, ...]) -> frozenset[str]:
    return frozenset(offers)


# Few are kept: of a group of 10,000 offers each takes half a MiB.
@lru_cache(maxsize=64)
def _others(offers: tuple[str, ...], offer: str) -> frozenset[str]:
    return _members(offers) - {offer}
