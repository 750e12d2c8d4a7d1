"""Recomputes every logged decision from its record and compares it bit for bit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from decisionlog import DamagedRecord, Decision, DecisionLog
from decisionlog.ids import entropy, to_text
from policy.choice import choose
from policy.errors import PolicyError
from policy.policies import Policy
from policy.registry import Registry
from policy.situation import Stage
from replay.join import situation_of

NAMED_MAX = 1000


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A decision that cannot be recomputed as it was logged."""

    decision_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What recomputing a log found."""

    decisions: int
    exact: int
    mismatches: tuple[Mismatch, ...]
    """At most 1,000 of them are named."""

    @property
    def mismatched(self) -> int:
        """Decisions that differ, all counted."""
        return self.decisions - self.exact


def verify(
    log: DecisionLog, registry: Registry, on_progress: Callable[[int], None] | None = None
) -> Verification:
    """Recomputes the pmfs and draws of all decisions of a log.

    Args:
        log: goes on being written to meanwhile, if need be.
        registry: has the policies and catalogs by the versions that records name.
        on_progress: called with the decisions read since the last call.
    """
    checker = _Checker(registry)
    decisions, exact, mismatches = 0, 0, list[Mismatch]()
    for decision_id, reason in _checked(log, checker):
        decisions += 1
        exact += reason is None
        if reason is not None and len(mismatches) < NAMED_MAX:
            mismatches.append(Mismatch(decision_id, reason))
        if on_progress:
            on_progress(1)
    return Verification(decisions, exact, tuple(mismatches))


def _checked(log: DecisionLog, checker: "_Checker") -> Iterator[tuple[str, str | None]]:
    """Every decision with what is wrong with it; None if nothing is."""
    damaged: list[DamagedRecord] = []
    for logged in log.scan(on_damage=damaged.append):
        yield to_text(logged.decision.decision_id), checker.difference(logged.decision)
        while damaged:
            yield _named(damaged.pop())
    yield from map(_named, damaged)


def _named(damage: DamagedRecord) -> tuple[str, str]:
    return damage.key.hex(), str(damage)


class _Checker:
    """Compares decisions with what their policies say now."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._policies: dict[str, Policy] = {}

    def difference(self, decision: Decision) -> str | None:
        """How a decision differs from its recomputation; None if it does not."""
        if not decision.stages:
            return None if not decision.tree or decision.no_send_reason else "has no stages"
        try:
            policy = self._policy(decision.policy_version)
            situation = situation_of(decision, self._registry.catalog(decision.catalog_version))
        except PolicyError as error:
            return str(error)
        choice = choose(policy, situation, entropy(decision.decision_id))
        for stage, logged, again in zip(Stage, decision.stages, choice.stages, strict=True):
            if logged.pmf != tuple(again.pmf.tolist()):
                return f"the pmf of the {stage.label} differs"
            if logged.chosen != again.chosen:
                return f"the draw of the {stage.label} differs"
        return None

    def _policy(self, version: str) -> Policy:
        if version not in self._policies:
            self._policies[version] = self._registry.policy(version)
        return self._policies[version]
