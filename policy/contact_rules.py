"""All rules about contacts at once, as the bars that they raise for a subject."""

from policy.bars import Bar
from policy.budgets import budget_bars, has_budgets
from policy.caps import cap_bars
from policy.catalog import Catalog
from policy.cool_downs import cool_down_bars
from policy.exclusion import exclusion_bars
from policy.standing import Spent, Standing, counted, reads_standing


def keeps_contacts(catalog: Catalog) -> bool:
    """Whether a catalog has anything for which contacts must be kept: rules, budgets, history."""
    return reads_standing(catalog) or has_budgets(catalog)


def contact_bars(catalog: Catalog, now_ms: int, standing: Standing, spent: Spent) -> list[Bar]:
    """Every bar for a subject, those included that a critical request bypasses.

    Args:
        catalog: has the rules.
        now_ms: time of the decision, Unix time; unconfirmed contacts age by it.
        standing: what became of the subject.
        spent: messages of the days and budgets in question; what is missing is unspent.
    """
    contacts = counted(catalog, standing, now_ms)
    return [
        *cap_bars(catalog, contacts),
        *budget_bars(catalog, spent),
        *exclusion_bars(catalog, contacts),
        *cool_down_bars(catalog, standing),
    ]
