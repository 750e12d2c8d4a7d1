"""Logs in which somebody else is always faster."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from decisionlog import (
    Contact,
    Decision,
    DecisionIds,
    DecisionLog,
    DecisionLogError,
    LogFull,
    Proposal,
    erasure,
)
from tests.server.service import Service
from tests.shop import START_MS


class Rival:
    """A log in which somebody else is always faster: what is proposed is taken just before."""

    def __init__(self, log: DecisionLog, *, everybody: bool = False) -> None:
        """Rivals for messages; with `everybody` also for those who are to get none."""
        self._log = log
        self._everybody = everybody
        self._ids = DecisionIds(lambda: START_MS)
        self.rounds = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    def record(self, proposals: Sequence[Proposal]) -> list[Decision | DecisionLogError]:
        """Stores contacts of the same customers for decisions of the rival's own first."""
        self.rounds += 1
        asked = [one for one in proposals if one.contact or self._everybody]
        self._log.record([self._overtaking(one) for one in asked])
        return self._log.record(proposals)

    def _overtaking(self, proposal: Proposal) -> Proposal:
        decision_id = self._ids.new()
        contact = proposal.contact or Contact(decision_id, "loyal", "email", START_MS)
        decision = replace(proposal.decision, decision_id=decision_id)
        return Proposal(decision, contact=replace(contact, decision_id=decision_id))


def meet(service: Service, rival: object) -> None:
    """Puts something else in the place of the engine's log."""
    service.engine._log = rival  # type: ignore[assignment]


class Erasing:
    """A log whose subject is erased while the first decision is made."""

    def __init__(self, service: Service, subject: bytes) -> None:
        self._log = service.engine._log
        self._clock = service.clock
        self._subject = subject
        self.rounds = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    def record(self, proposals: Sequence[Proposal]) -> list[Decision | DecisionLogError]:
        """Erases before the first round is stored."""
        self.rounds += 1
        if self.rounds == 1:
            erasure.erase(self._log.store, [self._subject], self._clock.now_ms)
            self._clock.now_ms += 1
        return self._log.record(proposals)


class Filling(Rival):
    """A rival that takes what is proposed once, then the room."""

    def record(self, proposals: Sequence[Proposal]) -> list[Decision | DecisionLogError]:
        """Stores in the first round only."""
        if self.rounds:
            raise LogFull(Path("log"), "there is no room left")
        return super().record(proposals)
