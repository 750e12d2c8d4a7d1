"""All rules about contacts at once, as the bars that they raise for a subject."""

from functools import lru_cache

from policy.bars import Bar
from policy.budgets import budget_bars, has_budgets
from policy.caps import cap_bars, caps_reach_ms
from policy.catalog import Catalog
from policy.catalog_rules import days_ms
from policy.cool_downs import cool_down_bars
from policy.exclusion import exclusion_bars, exclusion_reach_ms
from policy.history import DAYS
from policy.send_times import MINUTE_MS
from policy.standing import CATALOGS_MAX, Spent, Standing, counted, reads_standing


def keeps_contacts(catalog: Catalog) -> bool:
    """Whether a catalog has anything for which contacts must be kept: rules, budgets, history."""
    return reads_standing(catalog) or has_budgets(catalog)


@lru_cache(maxsize=CATALOGS_MAX)
def _reach_ms(catalog: Catalog) -> int:
    """How far back rules look at contacts: what lies further is out of every stretch of time."""
    return max(caps_reach_ms(catalog), exclusion_reach_ms(catalog))


def reach_ms(catalog: Catalog) -> int:
    """How far back any rule or feature looks at decisions: what is younger must be kept.

    Rules look at send times, which come after the decisions by the length of the send windows at
    most; where a caller asked for a later one, its contact outlives the decision.
    """
    pauses_ms = [days_ms(rule.days) for rule in catalog.cool_downs]
    history_ms = days_ms(max(DAYS)) if catalog.history is not None else 0
    reach = max(_reach_ms(catalog), history_ms, *pauses_ms, 0)
    ahead_ms = catalog.send_times.windows * catalog.send_times.step_minutes * MINUTE_MS
    return reach + ahead_ms if reach else 0


def contact_bars(catalog: Catalog, now_ms: int, standing: Standing, spent: Spent) -> list[Bar]:
    """Every bar for a subject, those included that a critical request bypasses.

    Args:
        catalog: has the rules.
        now_ms: time of the decision, Unix time; unconfirmed contacts age by it.
        standing: what became of the subject.
        spent: messages of the days and budgets in question; what is missing is unspent.
    """
    contacts = counted(catalog, standing, now_ms, _reach_ms(catalog))
    return [
        *cap_bars(catalog, contacts),
        *budget_bars(catalog, spent),
        *exclusion_bars(catalog, contacts),
        *cool_down_bars(catalog, standing),
    ]
