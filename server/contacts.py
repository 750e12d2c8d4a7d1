"""Joins the policy's rules and the log's contacts: what is read before a choice and kept with it.

Catalogs without rules about contacts, budgets and history read nothing here and reserve nothing.
"""

from functools import partial

from decisionlog import Contact, Decision, DecisionLog, Proposal, Standing
from decisionlog.ids import time_ms
from policy.admission import Message, is_still_allowed
from policy.budgets import budget_keys, charged
from policy.catalog import Catalog
from policy.contact_rules import keeps_contacts
from policy.eligibility import Eligibility, eligibility
from policy.request import Request
from policy.standing import NOTHING_SPENT, reads_standing


def eligible_now(
    log: DecisionLog, subject: bytes, request: Request, catalog: Catalog
) -> Eligibility:
    """What a subject may get, by all that the log holds of it and of the budgets.

    Raises:
        DecisionLogError: if the log cannot be read.
    """
    if not keeps_contacts(catalog):
        return eligibility(request, catalog)
    budgets = budget_keys(catalog, request.windows(catalog))
    return eligibility(request, catalog, *log.standing_and_spent(subject, budgets))


def eligible_then(
    log: DecisionLog, decision: Decision, request: Request, catalog: Catalog
) -> Eligibility:
    """What the subject of a stored decision might get when it was made, as far as that is known.

    The log keeps what counts for the subject, by which the past can be told; what was spent of
    the budgets of all subjects at that moment it does not keep.

    Raises:
        DecisionLogError: if the log cannot be read.
    """
    if not reads_standing(catalog):
        return eligibility(request, catalog)
    standing = _until(log.standing(decision.subject), decision.decision_id)
    return eligibility(request, catalog, standing, NOTHING_SPENT)


def _until(standing: Standing, decision_id: bytes) -> Standing:
    """A standing without what came after a decision."""
    decided_at_ms = time_ms(decision_id)
    return Standing(
        tuple(one for one in standing.contacts if one.decision_id < decision_id),
        tuple(one for one in standing.responses if one.occurred_at_ms <= decided_at_ms),
    )


def proposal_of(
    decision: Decision, request_key: bytes | None, request: Request, found: Eligibility
) -> Proposal:
    """A decision with what it reserves, and the check to be made where it is stored.

    Args:
        decision: the choice.
        request_key: of the request; None if it has no id.
        request: what was asked for.
        found: what the choice was made from.
    """
    if decision.no_send_reason:
        return Proposal(decision, request_key)
    catalog, windows = found.situation.catalog, found.situation.grid
    offer, channel, window = found.situation.action(decision.path)
    bypassed = tuple(reason.name for reason in found.bypassed(offer, channel, window))
    if not keeps_contacts(catalog):
        return Proposal(decision, request_key, audit=bypassed)
    message = Message(offer, channel, windows.send_time_ms(window))
    slots = tuple(charged(catalog, *message))
    contact = Contact(decision.decision_id, *message, slots=slots)
    admit = partial(is_still_allowed, request, catalog, message)
    return Proposal(decision, request_key, contact, admit, bypassed)
