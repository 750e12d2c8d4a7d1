"""Applies every rule to a request: the eligible tree, and why the rest is not in it."""

from dataclasses import dataclass
from functools import partial

from policy.catalog import NO_SEND, Catalog
from policy.contact_rules import contact_bars
from policy.eligible_tree import eligible_tree
from policy.history import with_history
from policy.reasons import Reason, Suppression
from policy.request import Request
from policy.situation import Grid, PlainTree, Situation
from policy.standing import NO_STANDING, NOTHING_SPENT, Spent, Standing
from policy.steps import Barred, Checks, barred_windows
from policy.suppressions import bypassed, suppressions

__all__ = ["Eligibility", "Reason", "Suppression", "eligibility", "is_no_send"]


@dataclass(frozen=True, slots=True)
class Eligibility:
    """What may be chosen, and what may not."""

    situation: Situation
    checks: Checks
    """What the rules depended on."""
    standing: Standing
    """What was true of the subject."""
    spent: Spent
    """What was true of budgets."""

    @property
    def suppressions(self) -> tuple[Suppression, ...]:
        """What may not be chosen, each with its rule; found when asked for."""
        return tuple(suppressions(self.checks))

    def holds(self, standing: Standing, spent: Spent) -> bool:
        """Whether no rule allows or forbids anything else by now.

        Args:
            standing: what is true of the subject now.
            spent: what is true now of the budgets that `policy.budgets.budget_keys` names.
        """
        # What is missing is unspent: a day that is told of no more may have changed as well.
        days = self.spent.keys() | spent.keys()
        changed = [key for key in days if spent.get(key) != self.spent.get(key)]
        if standing == self.standing and not changed:
            return True
        then = {key: self.spent[key] for key in changed if key in self.spent}
        now = {key: spent[key] for key in changed if key in spent}
        checks = self.checks
        barred = partial(_barred, checks.request, checks.catalog, checks.windows)
        return barred(self.standing, then) == barred(standing, now)

    def bypassed(self, offer: str, channel: str, window: int) -> tuple[Reason, ...]:
        """The rules that forbid an eligible message, were the request not critical."""
        return bypassed(self.checks, offer, channel, window)


def eligibility(
    request: Request,
    catalog: Catalog,
    standing: Standing = NO_STANDING,
    spent: Spent = NOTHING_SPENT,
) -> Eligibility:
    """Applies every rule of the catalog to a checked request.

    Args:
        request: what is asked for.
        catalog: has the rules.
        standing: what became of the subject so far.
        spent: messages of the budgets that `policy.budgets.budget_keys` names.
    """
    windows = request.windows(catalog)
    checks = Checks(request, catalog, windows, _barred(request, catalog, windows, standing, spent))
    features = with_history(request.features, catalog, standing, request.now_ms)
    tree = eligible_tree(checks)
    situation = Situation(catalog, features, request.offer_features, windows, tree)
    return Eligibility(situation, checks, standing, spent)


def _barred(
    request: Request, catalog: Catalog, windows: Grid, standing: Standing, spent: Spent
) -> tuple[Barred, ...]:
    return barred_windows(contact_bars(catalog, request.now_ms, standing, spent), windows)


def is_no_send(tree: PlainTree, offer: int) -> bool:
    """Whether an offer of the tree means not to send."""
    name, _ = tree[offer]
    return name == NO_SEND
