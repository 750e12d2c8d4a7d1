"""Budgets: messages to all subjects together, by day of the catalog's zone, paced by the hour."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from typing import Final

from policy.bars import Bar
from policy.catalog import Catalog
from policy.catalog_rules import HOUR_MS, Budget
from policy.days import day_of, day_start_ms
from policy.reasons import Reason
from policy.situation import Grid
from policy.standing import CATALOGS_MAX, BudgetKey, BudgetSlot, Spent

OFFER: Final = "offer"
CHANNEL: Final = "channel"
SLOTS: Final = 25
"""Hour slots of a day; the last one is for days on which the clocks go back, and holds their rest:
where they go back by two hours, two hours."""


def has_budgets(catalog: Catalog) -> bool:
    """Whether anything of a catalog has a budget."""
    return bool(_named(catalog))


def budget_keys(catalog: Catalog, windows: Grid) -> tuple[BudgetKey, ...]:
    """What has to be known of budgets before any of the windows can be chosen."""
    if not _named(catalog):
        return ()
    last = len(windows.local_minutes) - 1
    first_day, last_day = (
        day_of(catalog.send_times.time_zone, windows.send_time_ms(window)) for window in (0, last)
    )
    return _keys(catalog, first_day, last_day)


def charged(catalog: Catalog, offer: str, channel: str, send_time_ms: int) -> list[BudgetSlot]:
    """The budgets that a message is charged to: on the day of its send time, in its hour slot.

    Where any offer has a budget, each message is charged to its own, be it limited or not, and so
    with channels: another one may be sent in its place, which has a budget, and only the day and
    hour of the decision tell where it counts.
    """
    kinds = {kind for kind, _ in _named(catalog)}
    keys = [key for key in ((OFFER, offer), (CHANNEL, channel)) if key[0] in kinds]
    if not keys:
        return []
    zone_name = catalog.send_times.time_zone
    day = day_of(zone_name, send_time_ms)
    slot = (send_time_ms - day_start_ms(zone_name, day)) // HOUR_MS
    return [(kind, name, day, min(slot, SLOTS - 1)) for kind, name in keys]


def budget_bars(catalog: Catalog, spent: Spent) -> Iterator[Bar]:
    """The bars of every budget, from the start of a day to the end of its last full hour."""
    named = _named(catalog)
    for (kind, name, day), messages in spent.items():
        budget = named.get((kind, name))
        if budget is None:
            continue
        zone_name = catalog.send_times.time_zone
        start_ms, next_ms = (day_start_ms(zone_name, number) for number in (day, day + 1))
        full = _full_ms(budget.per_day, budget.pacing, messages, next_ms - start_ms)
        if full:
            scope = frozenset((name,))
            offers, channels = (scope, None) if kind == OFFER else (None, scope)
            yield Bar(Reason.BUDGET_SPENT, start_ms, start_ms + full, offers, channels)


# Of many budgets few change from one choice to the next.
@lru_cache(maxsize=16_384)
def _full_ms(per_day: int, pacing: str, messages: tuple[int, ...], day_ms: int) -> int:
    """For how much of a day, from its start, one message more would be one too many.

    A message of an hour is also one of those up to each later hour: it needs room in all of them.
    """
    running, allowed = list(accumulate(messages)), _allowed(per_day, pacing, day_ms)
    if running[-1] < allowed[0]:
        return 0  # the first hour alone would have room for all of them
    full = (slot for slot in reversed(range(SLOTS)) if running[slot] >= allowed[slot])
    return _slot_end_ms(next(full, -1), day_ms)


@lru_cache(maxsize=1024)
def _allowed(per_day: int, pacing: str, day_ms: int) -> tuple[int, ...]:
    """Messages that may be sent until the end of each hour slot."""
    if pacing == "none":
        return (per_day,) * SLOTS
    elapsed_ms = (_slot_end_ms(slot, day_ms) for slot in range(SLOTS))
    return tuple(-(-per_day * elapsed // day_ms) for elapsed in elapsed_ms)


def _slot_end_ms(slot: int, day_ms: int) -> int:
    """How much of a day has passed when a slot ends."""
    return day_ms if slot == SLOTS - 1 else min((slot + 1) * HOUR_MS, day_ms)


@lru_cache(maxsize=CATALOGS_MAX)
def _named(catalog: Catalog) -> dict[tuple[str, str], Budget]:
    """Every budget by kind and name."""
    tables = ((OFFER, catalog.offers), (CHANNEL, catalog.channels))
    return {
        (kind, name): holder.budget
        for kind, holders in tables
        for name, holder in holders.items()
        if holder.budget is not None
    }


@lru_cache(maxsize=256)
def _keys(catalog: Catalog, first_day: int, last_day: int) -> tuple[BudgetKey, ...]:
    days = range(first_day, last_day + 1)
    return tuple((kind, name, day) for kind, name in _named(catalog) for day in days)
