"""Drafts: decisions that are made but not stored, with what they would reserve."""

from dataclasses import dataclass

from decisionlog import (
    Decision,
    DecisionIds,
    Grid,
    Keys,
    NoSendReason,
    Proposal,
    Stage,
)
from decisionlog.ids import entropy, time_ms
from policy.choice import Choice, choose
from policy.eligibility import Eligibility, eligibility, is_no_send
from policy.minimisation import minimised
from policy.policies import Policy
from policy.request import Request, check_request
from policy.rollout import HOLDOUT_VERSION, Arm, ArmShare
from policy.situation import Situation
from policy.standing import Spent, Standing
from server.asks import Ask
from server.contacts import eligible_now, proposal_of
from server.present import Present
from server.serving import Serving

_NO_DIGEST = bytes(16)
NORMAL, CRITICAL = 1, 2  # as in sendwise.v1.Priority


@dataclass(frozen=True, slots=True)
class Case:
    """A request to be decided: who asks for what, when, and what is in force."""

    decision_id: bytes
    subject: bytes
    request: Request
    request_key: bytes | None
    """What the log knows the request by; None if it has no id."""
    request_digest: bytes
    """By which the log tells whether it is the same."""
    serving: Serving
    features_dropped: int
    """Features of the request that the catalog does not keep."""


class Draft:
    """A decision before it is stored; chosen again if by then there is something else to choose.

    It may draw the same again: what there is to choose from is a matter of what others drew.
    """

    def __init__(self, case: Case, found: Eligibility) -> None:
        self._case = case
        self._made: list[tuple[Decision, Eligibility]] = []
        self.proposal = self._choose(found)
        """The decision, as it was chosen first, with what it reserves."""

    @property
    def features_dropped(self) -> int:
        """Features of the request that the catalog does not keep."""
        return self._case.features_dropped

    def found_for(self, stored: Decision) -> Eligibility | None:
        """What a stored decision was chosen from; None if it is none of those made here."""
        return next((found for decision, found in self._made if decision is stored), None)

    def _choose(self, found: Eligibility) -> Proposal:
        decision = _decision(self._case, found)
        self._made.append((decision, found))
        return proposal_of(decision, self._case.request_key, found, self._again)

    def _again(self, standing: Standing, spent: Spent) -> Proposal:
        """Chooses from what there is by now; called where it is stored."""
        case = self._case
        return self._choose(eligibility(case.request, case.serving.catalog, standing, spent))


class Drafter:
    """Makes drafts from what is true now."""

    def __init__(self, keys: Keys, ids: DecisionIds) -> None:
        self._keys = keys
        self._ids = ids

    def draft(self, ask: Ask, serving: Serving, present: Present) -> Draft:
        """Chooses; a request with an id draws the same however often it comes.

        Args:
            ask: what is asked.
            serving: what is in force.
            present: what counts; the draft's own reservation is added.

        Raises:
            RequestError: if the catalog in force cannot answer the request.
            DecisionLogError: if the log cannot be read.
        """
        seed = self._keys.request_entropy(ask.request_id) if ask.request_id else None
        decision_id = self._ids.new(seed)
        request = ask.request(time_ms(decision_id))
        check_request(request, serving.catalog)
        request, dropped = minimised(request, serving.catalog)
        subject = self._keys.pseudonym(ask.subject_id)
        names = self.request_key(ask), self.request_digest(ask)
        case = Case(decision_id, subject, request, *names, serving, dropped)
        draft = Draft(case, eligible_now(present, subject, request, serving.catalog))
        present.reserve(draft.proposal)
        return draft

    def request_key(self, ask: Ask) -> bytes | None:
        """What the log knows a request by; None if it has no id."""
        return self._keys.request_key(ask.request_id) if ask.request_id else None

    def request_digest(self, ask: Ask) -> bytes:
        """What the log tells a request from another by; zeros if it has no id."""
        return self._keys.request_digest(ask.digest) if ask.request_id else _NO_DIGEST


def _decision(case: Case, found: Eligibility) -> Decision:
    share, policy = case.serving.answering(case.subject)
    situation = found.situation
    choice = _choose(policy, situation, case.decision_id)
    return Decision(
        decision_id=case.decision_id,
        subject=case.subject,
        request_digest=case.request_digest,
        arm=share.arm,
        policy_version=policy.version if policy else HOLDOUT_VERSION,
        catalog_version=case.serving.rollout.catalog,
        time_zone=case.request.zone_name(case.serving.catalog),
        priority=CRITICAL if case.request.critical else NORMAL,
        no_send_reason=_no_send_reason(share, situation, choice),
        features=situation.features,
        offer_features=situation.offer_features,
        grid=Grid(*situation.grid),
        tree=situation.tree,
        stages=_stages(choice),
    )


def _choose(policy: Policy | None, situation: Situation, decision_id: bytes) -> Choice | None:
    """A choice, if there is somebody to make it and something to choose."""
    if policy is None or not situation.tree:
        return None
    return choose(policy, situation, entropy(decision_id))


def _stages(choice: Choice | None) -> tuple[Stage, ...]:
    stages = choice.stages if choice else ()
    return tuple(Stage(tuple(stage.pmf.tolist()), stage.chosen) for stage in stages)


def _no_send_reason(share: ArmShare, situation: Situation, choice: Choice | None) -> int:
    if share.arm is Arm.HOLDOUT:
        return NoSendReason.HOLDOUT
    if choice is None:
        return NoSendReason.NOTHING_ELIGIBLE
    return NoSendReason.CHOSEN if is_no_send(situation.tree, choice.path[0]) else 0
