"""Drafts: decisions that are made but not stored, with what they would reserve."""

from dataclasses import dataclass

from decisionlog import (
    Decision,
    DecisionIds,
    DecisionLog,
    Grid,
    Keys,
    NoSendReason,
    Proposal,
    Stage,
)
from decisionlog.ids import entropy, time_ms
from policy.choice import Choice, choose
from policy.eligibility import Eligibility, is_no_send
from policy.minimisation import minimised
from policy.policies import Policy
from policy.request import Request, check_request
from policy.rollout import HOLDOUT_VERSION, Arm, ArmShare
from policy.situation import Situation
from server.asks import Ask
from server.contacts import eligible_now, proposal_of
from server.serving import Serving

NORMAL, CRITICAL = 1, 2  # as in sendwise.v1.Priority


@dataclass(frozen=True, slots=True)
class Draft:
    """A decision before it is stored."""

    proposal: Proposal
    found: Eligibility
    """What it was chosen from."""
    features_dropped: int
    """Features of the request that the catalog does not keep."""

    @property
    def decision(self) -> Decision:
        """The decision."""
        return self.proposal.decision


class Drafter:
    """Makes drafts from what is true now."""

    def __init__(self, log: DecisionLog, keys: Keys, ids: DecisionIds) -> None:
        self._log = log
        self._keys = keys
        self._ids = ids

    def draft(self, ask: Ask, serving: Serving, *, is_first: bool = True) -> Draft:
        """Chooses.

        Args:
            ask: what is asked.
            serving: what is in force.
            is_first: a request with an id draws the same however often it comes; not so when it
                has to choose again. That its first choice was refused says something about its
                draw: used again, the draw would not have the probabilities that are logged.

        Raises:
            RequestError: if the catalog in force cannot answer the request.
            DecisionLogError: if the log cannot be read.
        """
        seeded = is_first and ask.request_id
        seed = self._keys.request_entropy(ask.request_id) if seeded else None
        decision_id = self._ids.new(seed)
        request = ask.request(time_ms(decision_id))
        check_request(request, serving.catalog)
        request, dropped = minimised(request, serving.catalog)
        subject = self._keys.pseudonym(ask.subject_id)
        found = eligible_now(self._log, subject, request, serving.catalog)
        who = (decision_id, subject, ask.digest)
        decision = _decision(who, request, found, serving)
        return Draft(proposal_of(decision, self.request_key(ask), request, found), found, dropped)

    def request_key(self, ask: Ask) -> bytes | None:
        """What the log knows a request by; None if it has no id."""
        return self._keys.request_key(ask.request_id) if ask.request_id else None


def _decision(
    who: tuple[bytes, bytes, bytes], request: Request, found: Eligibility, serving: Serving
) -> Decision:
    decision_id, subject, digest = who
    share, policy = serving.answering(subject)
    situation = found.situation
    choice = _choose(policy, situation, decision_id)
    return Decision(
        decision_id=decision_id,
        subject=subject,
        request_digest=digest,
        arm=share.arm,
        policy_version=policy.version if policy else HOLDOUT_VERSION,
        catalog_version=serving.rollout.catalog,
        time_zone=request.zone_name(serving.catalog),
        priority=CRITICAL if request.critical else NORMAL,
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
