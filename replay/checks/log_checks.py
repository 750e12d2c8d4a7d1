"""All checks of a log in one: they see every decision, and what they find concerns every policy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy.catalog import Reward as RewardRule
from policy.rollout import Rollout
from replay.checks.arms import ArmCheck
from replay.checks.deliveries import DeliveryCheck
from replay.checks.draws import DrawCheck
from replay.checks.maturity import MaturityCheck
from replay.join import Joined
from replay.verdict import Finding


@dataclass(frozen=True, slots=True)
class LogFindings:
    """What the checks of a log found."""

    findings: tuple[Finding, ...]
    facts: Mapping[str, Any]
    """Numbers for programs, by check."""


class LogChecks:
    """Runs the checks over chunks; parts made anywhere merge."""

    def __init__(self, rule: RewardRule, as_of_ms: int) -> None:
        """Nothing seen yet.

        Args:
            rule: what counts as reward, and for how long.
            as_of_ms: Unix time from which the log is looked at.
        """
        self.draws = DrawCheck()
        self.arms = ArmCheck()
        self.deliveries = DeliveryCheck(rule, as_of_ms)
        self.maturity = MaturityCheck(rule)

    def add(self, chunk: Sequence[Joined]) -> None:
        """Takes in decisions with their reports."""
        decisions = [one.logged.decision for one in chunk]
        self.draws.add(decisions)
        self.arms.add(decisions)
        self.deliveries.add(chunk)
        self.maturity.add(chunk)

    def merge(self, other: "LogChecks") -> None:
        """Takes in what another one has seen."""
        self.draws.merge(other.draws)
        self.arms.merge(other.arms)
        self.deliveries.merge(other.deliveries)
        self.maturity.merge(other.maturity)

    def result(self, rollouts: Sequence[Rollout]) -> LogFindings:
        """What was found.

        Args:
            rollouts: all that were ever in force; none where only some arms were read.
        """
        return LogFindings(tuple(self._findings(rollouts)), self._facts(rollouts))

    def _findings(self, rollouts: Sequence[Rollout]) -> Iterator[Finding]:
        yield from self.draws.findings()
        yield from self.arms.findings(rollouts)
        yield from self.deliveries.findings()
        yield from self.maturity.findings()

    def _facts(self, rollouts: Sequence[Rollout]) -> Mapping[str, Any]:
        return {
            "draws": self.draws.to_json(),
            "arms": self.arms.to_json(rollouts),
            "deliveries": self.deliveries.to_json(),
            "maturity": self.maturity.to_json(),
        }
