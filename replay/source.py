"""What replay reads: the interactions of one log under one catalog, as of one moment."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from decisionlog import DecisionLog, LoggedDecision
from policy.catalog import Catalog
from policy.learned import is_learned
from policy.registry import Registry
from replay.join import Interaction, Left, join
from replay.log_evaluation import Target
from replay.train import is_fresh


@dataclass(frozen=True, slots=True)
class Source:
    """The interactions of a log; reading them again gives the same ones."""

    log: DecisionLog
    registry: Registry
    catalog: Catalog
    """Says what counts as reward."""
    as_of_ms: int
    """Unix time at which attribution windows must have closed."""
    start: bytes = b""
    """Decisions before this id are left out."""
    until: bytes | None = None
    """So are those from this id on."""
    made_by: str | None = None
    """Only decisions of this policy version; None: of all."""
    left: Counter[Left] = field(default_factory=Counter)
    """Decisions of the last reading that are no interactions, by why."""

    @property
    def size(self) -> int:
        """Decisions in the whole log, for progress."""
        return self.log.counts().decisions

    def interactions(
        self, on_progress: Callable[[int], None] | None = None
    ) -> Iterator[Interaction]:
        """Reads the log; `on_progress` is called with the decisions read since the last call."""
        self.left.clear()
        logged = self._scan(on_progress)
        rule, catalogs = self.catalog.reward, self.registry.catalog
        yield from join(logged, rule, catalogs, self.as_of_ms, self.left)

    def _scan(self, on_progress: Callable[[int], None] | None) -> Iterator[LoggedDecision]:
        for logged in self.log.scan(start=self.start, until=self.until):
            if on_progress:
                on_progress(1)
            if self.made_by in {None, logged.decision.policy_version}:
                yield logged

    def target(self, version: str) -> Target:
        """A policy by its version, to be evaluated on what it has not learned from.

        Raises:
            UnknownVersionError: if it is not registered.
            UnknownRuleError: if it is a rule that the catalog cannot follow.
        """
        policy = self.registry.policy_for(version, self.catalog)
        if not is_learned(version):
            return Target(version, policy)
        training = self.registry.manifest(version).training
        return Target(version, policy, lambda decision: is_fresh(training, decision))
