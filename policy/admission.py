"""Whether one chosen message is still allowed, once others were decided in the meantime."""

from policy.catalog import NO_SEND, Catalog
from policy.contact_rules import contact_bars
from policy.reasons import BYPASSABLE
from policy.request import Request
from policy.standing import Spent, Standing


def is_still_allowed(  # noqa: PLR0913 - one message, and all that it depends on
    request: Request,
    catalog: Catalog,
    *,
    offer: str,
    channel: str,
    send_time_ms: int,
    standing: Standing,
    spent: Spent,
) -> bool:
    """Checks a message again under the rules that other messages can change.

    Args:
        request: what was asked for; it was checked against all other rules when choosing.
        catalog: the one that the message was chosen from.
        offer: the chosen offer; not to send is always allowed.
        channel: the chosen channel.
        send_time_ms: the chosen send time, Unix time.
        standing: what is true of the subject now.
        spent: what is true now of the budgets that the message is charged to.
    """
    if offer == NO_SEND:
        return True
    return not any(
        bar.forbids(offer, channel, send_time_ms)
        for bar in contact_bars(catalog, request.now_ms, standing, spent)
        if not (request.critical and bar.reason in BYPASSABLE)
    )
