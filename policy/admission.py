"""Whether one chosen message is still allowed, once others were decided in the meantime."""

from typing import NamedTuple

from policy.catalog import Catalog
from policy.contact_rules import contact_bars
from policy.reasons import BYPASSABLE
from policy.request import Request
from policy.standing import Spent, Standing


class Message(NamedTuple):
    """What is to be sent."""

    offer: str
    channel: str
    send_time_ms: int
    """Unix time."""


def is_still_allowed(
    request: Request, catalog: Catalog, message: Message, standing: Standing, spent: Spent
) -> bool:
    """Checks a chosen message again under the rules that other messages can change.

    Args:
        request: what was asked for; it was checked against all other rules when choosing.
        catalog: the one that the message was chosen from.
        message: the choice; not to send is none.
        standing: what is true of the subject now.
        spent: what is true now of the budgets that the message is charged to.
    """
    return not any(
        bar.forbids(*message)
        for bar in contact_bars(catalog, request.now_ms, standing, spent)
        if not (request.critical and bar.reason in BYPASSABLE)
    )
