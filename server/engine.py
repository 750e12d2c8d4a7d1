"""Decides, and takes what became of it: all that the services do, without their transport."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from decisionlog import (
    Decision,
    DecisionIds,
    DecisionLog,
    DecisionLogError,
    Delivery,
    Grid,
    Keys,
    NoSendReason,
    Proposal,
    ReportOutcome,
    RequestIdReused,
    Reward,
    Stage,
)
from decisionlog.ids import entropy, time_ms, to_text
from policy.choice import Choice, choose
from policy.draw import pick
from policy.eligibility import Suppression, eligibility, is_no_send
from policy.explain import StageExplanation, explain
from policy.policies import Policy
from policy.registry import Registry
from policy.request import Request, check_request
from policy.rollout import HOLDOUT_VERSION, Arm, ArmShare
from policy.situation import Situation, situation_of
from server.refusals import RequestReusedError, UnknownDecisionError
from server.serving import Serving

_log = logging.getLogger(__name__)

NORMAL, CRITICAL = 1, 2  # as in sendwise.v1.Priority
RETIRED_MAX = 4
"""Policies that are not in force any more, but kept to explain what they decided."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A checked request with what the policy does not see of it."""

    subject_id: str
    request_id: str
    digest: bytes
    """Hash of the request, 16 bytes."""
    explain: bool
    request: Callable[[int], Request]
    """The request, given the time of the decision in Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored decision and what was asked for beside it."""

    decision: Decision
    repeated: bool = False
    suppressions: tuple[Suppression, ...] = ()
    explanation: tuple[StageExplanation, ...] = ()

    @property
    def arm(self) -> str:
        """Name of the arm, for counting."""
        return Arm(self.decision.arm).name.lower()

    @property
    def no_send_reason(self) -> str:
        """Name of the reason, for counting; empty if something is to be sent."""
        reason = self.decision.no_send_reason
        return NoSendReason(reason).name.lower() if reason else ""


class Engine:
    """Answers requests from what is in force, and stores before it answers."""

    def __init__(
        self,
        log: DecisionLog,
        keys: Keys,
        ids: DecisionIds,
        registry: Registry,
        serving: Callable[[], Serving],
    ) -> None:
        self._log = log
        self._keys = keys
        self._ids = ids
        self._registry = registry
        self._serving = serving
        # Loading a chain takes a while, and decisions to be explained come from few of them.
        self._retired = lru_cache(maxsize=RETIRED_MAX)(registry.policy)

    def decide(self, asks: Sequence[Ask | Exception]) -> list[Answer | Exception]:
        """Decides for each request; all are on disk when this returns.

        Args:
            asks: requests; an error in place of one is passed through.

        Returns:
            An answer for each, or the error that kept it from one: what is wrong with one request
            keeps no other from its answer.

        Raises:
            DecisionLogError: if the log cannot store anything now.
        """
        serving = self._serving()
        answers = [self._prepare(ask, serving) for ask in asks]
        new = {
            index: Proposal(answer.decision, self._request_key(ask))
            for index, (ask, answer) in enumerate(zip(asks, answers, strict=True))
            if isinstance(ask, Ask) and isinstance(answer, Answer) and not answer.repeated
        }
        for index, stored in zip(new, self._log.record(list(new.values())), strict=True):
            answers[index] = _settled(answers[index], stored)
        return [self._finished(*pair) for pair in zip(asks, answers, strict=True)]

    def report_deliveries(
        self, deliveries: Sequence[Delivery]
    ) -> list[ReportOutcome | DecisionLogError]:
        """Stores deliveries; all are on disk when this returns."""
        return list(self._log.report_deliveries(deliveries))

    def report_rewards(self, rewards: Sequence[Reward]) -> list[ReportOutcome | DecisionLogError]:
        """Stores rewards; all are on disk when this returns."""
        return list(self._log.report_rewards(rewards))

    def _prepare(self, ask: Ask | Exception, serving: Serving) -> Answer | Exception:
        """The earlier answer to a request, a new one that is not stored yet, or an error."""
        if isinstance(ask, Exception):
            return ask
        try:
            return self._repeated(ask) or self._new(ask, serving)
        except Exception as error:  # noqa: BLE001 - the caller says it; the others go on
            return error

    def _repeated(self, ask: Ask) -> Answer | None:
        key = self._request_key(ask)
        earlier = self._log.find_request(key) if key else None
        if earlier is None:
            return None
        if earlier.request_digest != ask.digest:
            raise RequestIdReused(earlier.decision_id)
        return Answer(earlier, repeated=True)

    def _new(self, ask: Ask, serving: Serving) -> Answer:
        seed = self._keys.request_entropy(ask.request_id) if ask.request_id else None
        decision_id = self._ids.new(seed)
        request = ask.request(time_ms(decision_id))
        check_request(request, serving.catalog)
        found = eligibility(request, serving.catalog)
        subject = self._keys.pseudonym(ask.subject_id)
        share, policy = serving.answering(subject)
        choice = self._choose(policy, found.situation, decision_id)
        decision = Decision(
            decision_id=decision_id,
            subject=subject,
            request_digest=ask.digest,
            arm=share.arm,
            policy_version=policy.version if policy else HOLDOUT_VERSION,
            catalog_version=serving.rollout.catalog,
            time_zone=request.time_zone or serving.catalog.send_times.time_zone,
            priority=CRITICAL if request.critical else NORMAL,
            no_send_reason=_no_send_reason(share, found.situation, choice),
            features=request.features,
            offer_features=request.offer_features,
            grid=Grid(*found.situation.grid),
            tree=found.situation.tree,
            stages=_stages(choice),
        )
        return Answer(decision)

    @staticmethod
    def _choose(policy: Policy | None, situation: Situation, decision_id: bytes) -> Choice | None:
        """A choice, if there is somebody to make it and something to choose."""
        if policy is None or not situation.tree:
            return None
        return choose(policy, situation, entropy(decision_id))

    def _finished(self, ask: Ask | Exception, answer: Answer | Exception) -> Answer | Exception:
        """An answer with what was asked for beside it, an error with what only the request says."""
        if not isinstance(ask, Ask):
            return answer
        if isinstance(answer, RequestIdReused):
            return RequestReusedError(ask.request_id, to_text(answer.decision_id))
        if not ask.explain or isinstance(answer, Exception):
            return answer
        try:
            return self._explained(ask, answer)
        except Exception:  # noqa: BLE001 - whatever it is, the answer stands
            # The decision is on disk and counts: its caller has to learn of it all the same.
            _log.exception("a stored decision cannot be explained")
            return answer

    def _explained(self, ask: Ask, answer: Answer) -> Answer:
        """An answer with its explanation, the same for a repeat as for the first answer."""
        decision = answer.decision
        catalog = self._registry.catalog(decision.catalog_version)
        found = eligibility(ask.request(decision.decided_at_ms), catalog)
        return replace(answer, suppressions=found.suppressions, explanation=self.explain(decision))

    def explain_stored(self, decision_id: bytes) -> tuple[tuple[StageExplanation, ...], bool]:
        """How a decision of the log came about, and whether computing it again gives the same.

        Raises:
            UnknownDecisionError: if the log does not hold it.
            UnknownVersionError: if its policy or catalog is not registered any more.
        """
        decision = self._log.decision(decision_id)
        if decision is None:
            raise UnknownDecisionError(to_text(decision_id))
        stages = self.explain(decision)
        return stages, tuple(map(_stage, stages)) == decision.stages

    def explain(self, decision: Decision) -> tuple[StageExplanation, ...]:
        """How a stored decision came about; empty if there was nothing to choose."""
        if not decision.stages:
            return ()
        path = tuple(stage.chosen for stage in decision.stages)
        seed = entropy(decision.decision_id)
        situation = situation_of(decision, self._registry.catalog(decision.catalog_version))
        return explain(self._policy(decision.policy_version), situation, path, seed)

    def _policy(self, version: str) -> Policy:
        return self._serving().policies.get(version) or self._retired(version)

    def _request_key(self, ask: Ask) -> bytes | None:
        return self._keys.request_key(ask.request_id) if ask.request_id else None


def _settled(answer: Answer | Exception, stored: Decision | DecisionLogError) -> Answer | Exception:
    """What the log made of a new answer: another caller may have stored the same request first."""
    if isinstance(stored, DecisionLogError) or not isinstance(answer, Answer):
        return stored if isinstance(stored, DecisionLogError) else answer
    if stored is answer.decision:
        return answer
    return Answer(stored, repeated=True)


def _stages(choice: Choice | None) -> tuple[Stage, ...]:
    stages = choice.stages if choice else ()
    return tuple(Stage(tuple(stage.pmf.tolist()), stage.chosen) for stage in stages)


def _stage(found: StageExplanation) -> Stage:
    """A stage as it would be logged."""
    pmf = tuple(action.probability for action in found.actions)
    return Stage(pmf, pick(np.asarray(pmf), found.draw))


def _no_send_reason(share: ArmShare, situation: Situation, choice: Choice | None) -> int:
    if share.arm is Arm.HOLDOUT:
        return NoSendReason.HOLDOUT
    if choice is None:
        return NoSendReason.NOTHING_ELIGIBLE
    return NoSendReason.CHOSEN if is_no_send(situation.tree, choice.path[0]) else 0
