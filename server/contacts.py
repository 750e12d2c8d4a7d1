"""Joins the policy's rules and the log's contacts: what is read before a choice and kept with it.

Catalogs without rules about contacts, budgets and history read nothing here and reserve nothing.
"""

from decisionlog import Contact, Decision, DecisionLog, Proposal, Standing
from decisionlog.contacts import Again
from decisionlog.ids import time_ms
from policy.budgets import budget_keys, charged
from policy.catalog import Catalog
from policy.contact_rules import keeps_contacts
from policy.eligibility import Eligibility, eligibility
from policy.request import Request
from policy.standing import NOTHING_SPENT, reads_standing
from server.present import Present


def eligible_now(
    present: Present, subject: bytes, request: Request, catalog: Catalog
) -> Eligibility:
    """What a subject may get, by all that counts for it and of the budgets.

    Raises:
        DecisionLogError: if the log cannot be read.
    """
    if not keeps_contacts(catalog):
        return eligibility(request, catalog)
    budgets = budget_keys(catalog, request.windows(catalog))
    return eligibility(request, catalog, *present.of(subject, budgets))


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
    decision: Decision,
    request_key: bytes | None,
    found: Eligibility,
    again: Again,
) -> Proposal:
    """A decision with what it reserves, and the check to be made where it is stored.

    The check is whether there is still the same to choose from, not whether what was chosen may
    still be had: what is refused must not depend on what was drawn, or the probabilities of all
    that is not refused would be others than those that are logged.

    Args:
        decision: the choice; not to send is one as well.
        request_key: of the request; None if it has no id.
        found: what the choice was made from.
        again: makes it again from what there is by then.
    """
    sends = not decision.no_send_reason
    audit = _bypassed(decision, found) if sends else ()
    if not keeps_contacts(found.situation.catalog):
        return Proposal(decision, request_key, audit=audit)
    return Proposal(
        decision,
        request_key,
        _contact(decision, found) if sends else None,
        found.holds,
        audit,
        tuple(found.spent),
        again,
    )


def _bypassed(decision: Decision, found: Eligibility) -> tuple[str, ...]:
    action = found.situation.action(decision.path)
    return tuple(reason.name for reason in found.bypassed(*action))


def _contact(decision: Decision, found: Eligibility) -> Contact:
    situation = found.situation
    offer, channel, window = situation.action(decision.path)
    send_time_ms = situation.grid.send_time_ms(window)
    slots = tuple(charged(situation.catalog, offer, channel, send_time_ms))
    return Contact(decision.decision_id, offer, channel, send_time_ms, slots=slots)
