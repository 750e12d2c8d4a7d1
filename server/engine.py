"""Decides, and takes what became of it: all that the services do, without their transport."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from decisionlog import (
    AuditKind,
    Decision,
    DecisionIds,
    DecisionLog,
    DecisionLogError,
    Delivery,
    Keys,
    Overtaken,
    ReportOutcome,
    RequestIdReused,
    Reward,
    Stage,
    SubjectErased,
)
from decisionlog.ids import entropy, to_text
from policy.draw import pick
from policy.eligibility import Eligibility
from policy.errors import DamagedModelError, UnknownRuleError, UnknownVersionError
from policy.explain import StageExplanation, explain
from policy.policies import Policy
from policy.registry import Registry
from policy.rollout import Rollout
from policy.situation import situation_of
from policy.standing import listened
from server.asks import Answer, Ask
from server.contacts import eligible_then
from server.drafts import Draft, Drafter
from server.present import Present
from server.refusals import InexplicableError, RequestReusedError, UnknownDecisionError
from server.serving import Serving

_log = logging.getLogger(__name__)

ERASURES_MAX = 8
"""So often a call chooses again since a subject was erased meanwhile; more often, and the clock has
been set back behind an erasure: then the log cannot be used."""
RETIRED_MAX = 4
"""Policies that are not in force any more, but kept to explain what they decided."""


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
        self._drafter = Drafter(keys, ids)
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
        first = dict(enumerate(map(self._first, asks)))
        found = {index: one for index, one in first.items() if not isinstance(one, Ask)}
        open_ = {index: one for index, one in first.items() if isinstance(one, Ask)}
        found |= self._rounds(open_, serving)
        return [self._finished(ask, found[index]) for index, ask in enumerate(asks)]

    def report_deliveries(
        self, deliveries: Sequence[Delivery]
    ) -> list[ReportOutcome | DecisionLogError]:
        """Stores deliveries; all are on disk when this returns."""
        return list(self._log.report_deliveries(deliveries))

    def report_rewards(self, rewards: Sequence[Reward]) -> list[ReportOutcome | DecisionLogError]:
        """Stores rewards; all are on disk when this returns."""
        names = listened(self._serving().catalog)
        return list(self._log.report_rewards(rewards, names))

    def note_rollout(self, rollout: Rollout, caller: str) -> None:
        """Notes in the audit trail who changes what is in force, before it is."""
        facts = {"champion": rollout.champion, "sequence": rollout.sequence}
        self._log.record_act(AuditKind.ROLLOUT, {"call": "SetRollout", **facts}, by=caller)

    def _first(self, ask: Ask | Exception) -> Ask | Answer | Exception:
        """The earlier answer to a request, or the request itself if there is none."""
        if isinstance(ask, Exception):
            return ask
        try:
            return self._repeated(ask) or ask
        except Exception as error:  # noqa: BLE001 - the caller says it; the others go on
            return error

    def _repeated(self, ask: Ask) -> Answer | None:
        key = self._drafter.request_key(ask)
        earlier = self._log.find_request(key) if key else None
        if earlier is None:
            return None
        if earlier.request_digest != self._drafter.request_digest(ask):
            raise RequestIdReused(earlier.decision_id)
        return Answer(earlier, repeated=True)

    def _rounds(self, asks: Mapping[int, Ask], serving: Serving) -> dict[int, Answer | Exception]:
        """Chooses for each request and stores; what the log leaves open chooses again.

        It leaves the rest of a call open after many that others' decisions had overtaken. As it
        stores those many each time, this comes to an end; erasures may go on, but are given up on.
        """
        found = self._round(asks, serving, is_first=True)
        erasures = 0
        while (asks := _overtaken(asks, found)) and erasures < ERASURES_MAX:
            erasures += any(isinstance(found[index], SubjectErased) for index in asks)
            found |= self._round(asks, serving, is_first=False)
        return found

    def _round(
        self, asks: Mapping[int, Ask], serving: Serving, *, is_first: bool
    ) -> dict[int, Answer | Exception]:
        present = Present(self._log)
        drafts = {index: self._draft(ask, serving, present) for index, ask in asks.items()}
        found: dict[int, Answer | Exception] = {
            index: one for index, one in drafts.items() if isinstance(one, Exception)
        }
        made = {index: one for index, one in drafts.items() if isinstance(one, Draft)}
        for index, stored in zip(made, self._stored(made, is_first=is_first), strict=True):
            found[index] = _settled(made[index], stored)
        return found

    def _draft(self, ask: Ask, serving: Serving, present: Present) -> Draft | Exception:
        try:
            return self._drafter.draft(ask, serving, present)
        except Exception as error:  # noqa: BLE001 - the caller says it; the others go on
            return error

    def _stored(
        self, drafts: Mapping[int, Draft], *, is_first: bool
    ) -> Sequence[Decision | DecisionLogError]:
        """What the log makes of drafts, in their order."""
        if not drafts:
            return []
        try:
            return self._log.record([draft.proposal for draft in drafts.values()])
        except DecisionLogError as error:
            if is_first:
                raise
            # Others of this call are on disk by now: their callers have to learn of them.
            return [error] * len(drafts)

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
        """An answer with its explanation; what a repeat was kept from is found out again."""
        decision = answer.decision
        found = answer.found or self._found_then(ask, decision)
        return replace(answer, suppressions=found.suppressions, explanation=self.explain(decision))

    def _found_then(self, ask: Ask, decision: Decision) -> Eligibility:
        catalog = self._registry.catalog(decision.catalog_version)
        request = ask.request(decision.decided_at_ms)
        return eligible_then(self._log, decision, request, catalog)

    def explain_stored(self, decision_id: bytes) -> tuple[tuple[StageExplanation, ...], bool]:
        """How a decision of the log came about, and whether computing it again gives the same.

        Raises:
            UnknownDecisionError: if the log does not hold it.
            InexplicableError: if its policy or catalog is not registered any more, or damaged.
        """
        decision = self._log.decision(decision_id)
        if decision is None:
            raise UnknownDecisionError(to_text(decision_id))
        try:
            stages = self.explain(decision)
        except (UnknownVersionError, UnknownRuleError, DamagedModelError) as error:
            raise InexplicableError(to_text(decision_id), str(error)) from error
        return stages, tuple(map(_stage, stages)) == decision.stages

    def explain(self, decision: Decision) -> tuple[StageExplanation, ...]:
        """How a stored decision came about; empty if there was nothing to choose."""
        if not decision.stages:
            return ()
        seed = entropy(decision.decision_id)
        situation = situation_of(decision, self._registry.catalog(decision.catalog_version))
        return explain(self._policy(decision.policy_version), situation, decision.path, seed)

    def _policy(self, version: str) -> Policy:
        return self._serving().policies.get(version) or self._retired(version)


def _overtaken(asks: Mapping[int, Ask], found: Mapping[int, Answer | Exception]) -> dict[int, Ask]:
    """The requests that have to choose again."""
    return {index: ask for index, ask in asks.items() if isinstance(found[index], Overtaken)}


def _settled(draft: Draft, stored: Decision | DecisionLogError) -> Answer | DecisionLogError:
    """What the log made of a draft: another caller may have stored the same request first."""
    if isinstance(stored, DecisionLogError):
        return stored
    found = draft.found_for(stored)
    if found is None:
        return Answer(stored, repeated=True)
    return Answer(stored, found=found, features_dropped=draft.features_dropped)


def _stage(found: StageExplanation) -> Stage:
    """A stage as it would be logged."""
    pmf = tuple(action.probability for action in found.actions)
    return Stage(pmf, pick(np.asarray(pmf), found.draw))
