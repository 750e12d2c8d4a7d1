"""All rules about contacts at once, as the bars that they raise for a subject."""

from functools import lru_cache

from policy.bars import Bar
from policy.budgets import budget_bars, has_budgets
from policy.caps import cap_bars, caps_reach_ms
from policy.catalog import Catalog
from policy.cool_downs import cool_down_bars
from policy.exclusion import exclusion_bars, exclusion_reach_ms
from policy.standing import CATALOGS_MAX, Spent, Standing, counted, reads_standing


def keeps_contacts(catalog: Catalog) -> bool:
    """Whether a catalog has anything for which contacts must be kept: rules, budgets, history."""
    return reads_standing(catalog) or has_budgets(catalog)


@lru_cache(maxsize=CATALOGS_MAX)
def _reach_ms(catalog: Catalog) -> int:
    """How far back rules look at contacts: what lies further is out of every stretch of time."""
    return max(caps_reach_ms(catalog), exclusion_reach_ms(catalog))


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
