"""What the engine is asked, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass

from decisionlog import Decision, NoSendReason
from policy.eligibility import Eligibility
from policy.explain import StageExplanation
from policy.reasons import Suppression
from policy.request import Request
from policy.rollout import Arm


@dataclass(frozen=True, slots=True)
class Ask:
    """A checked request with what the policy does not see of it."""

    subject_id: str
    request_id: str
    digest: bytes
    """Hash of the request, the same for requests that ask for the same; empty if it has no id. It
    can be guessed from what is asked, so it is never stored, see `Keys.request_digest`."""
    explain: bool
    request: Callable[[int], Request]
    """The request, given the time of the decision in Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored decision and what was asked for beside it."""

    decision: Decision
    repeated: bool = False
    found: Eligibility | None = None
    """What a new decision was chosen from."""
    features_dropped: int = 0
    """Features of a new decision's request that the catalog does not keep."""
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
