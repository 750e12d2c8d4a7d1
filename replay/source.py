"""What replay reads: the interactions of one log under one catalog, as of one moment."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from decisionlog import DamagedRecord, DecisionLog, Delivery, LoggedDecision, Reward
from decisionlog.erasure import tombstones
from decisionlog.tables import ID_BYTES
from policy.catalog import Catalog
from policy.learned import is_learned
from policy.registry import Registry
from replay.join import Interaction, Joined, Left, join, outcomes
from replay.log_evaluation import Target
from replay.own_policy import OwnPolicy, is_own
from replay.snapshot import end_of, is_known_at, known_at
from replay.train import is_fresh
from replay.verify import Sought


@dataclass(frozen=True, slots=True)
class Address:
    """Where a source can be opened again, in this process or in another one."""

    data_dir: Path
    open_log: Callable[[], DecisionLog]
    """Opens the log, read only; can be pickled."""
    catalog: Catalog
    as_of_ms: int
    made_by: str | None

    @contextmanager
    def opened(self) -> Iterator["Source"]:
        """The source, for as long as the block runs."""
        with self.open_log() as log:
            yield Source(
                log,
                Registry(self.data_dir),
                self.catalog,
                self.as_of_ms,
                made_by=self.made_by,
                open_log=self.open_log,
            )


@dataclass(frozen=True, slots=True)
class Source:
    """The interactions of a log; reading them again gives the same ones.

    Left out are decisions of subjects that are being erased, and decisions on which a record is
    damaged: without one of its rewards, say, a decision would be worth something else.
    """

    log: DecisionLog
    registry: Registry
    catalog: Catalog
    """Says what counts as reward."""
    as_of_ms: int
    """The moment from which the log is looked at, Unix time: what came later is not seen, and
    attribution windows must have closed by then."""
    start: bytes = b""
    """Decisions before this id are left out."""
    until: bytes | None = None
    """So are those from this id on."""
    made_by: str | None = None
    """Only decisions of this policy version; None: of all."""
    left: Counter[Left] = field(default_factory=Counter)
    """Decisions of the last reading that are no interactions, by why."""
    damaged: set[bytes] = field(default_factory=set)
    """Ids of the decisions on which a damaged record was met, in any reading."""
    open_log: Callable[[], DecisionLog] | None = None
    """Opens the same log in another process; None where only this one may read it."""

    @property
    def size(self) -> int:
        """Decisions in the whole log, for progress."""
        return self.log.counts().decisions

    @property
    def end(self) -> bytes:
        """The first id that is not looked at."""
        return end_of(self.as_of_ms, self.until)

    @property
    def address(self) -> Address | None:
        """Where other processes find the same; None where they may not."""
        if self.open_log is None:
            return None
        data_dir = self.registry.data_dir
        return Address(data_dir, self.open_log, self.catalog, self.as_of_ms, self.made_by)

    @property
    def sought(self) -> Sought:
        """The same decisions, to be verified."""
        return Sought(self.log, self.registry, self.start, self.end, self.open_log)

    def interactions(
        self, on_progress: Callable[[int], None] | None = None
    ) -> Iterator[Interaction]:
        """Reads the log; `on_progress` is called with the decisions read since the last call."""
        self.left.clear()
        logged = self._read(self.start, self.end, on_progress or (lambda _: None))
        rule, catalogs = self.catalog.reward, self.registry.catalog
        yield from join(logged, rule, catalogs, self.as_of_ms, self.left)
        self.left.update(self.left_damaged)

    @property
    def left_damaged(self) -> Counter[Left]:
        """Decisions that were left out since something on them is damaged; of none, nothing."""
        return Counter({Left.DAMAGED: len(self.damaged)} if self.damaged else {})

    def stretches(self, size: int) -> list[tuple[bytes, bytes | None]]:
        """First id, and first one left out, of stretches of so many decisions."""
        starts = self.log.cuts(size, start=self.start, until=self.end)
        ends = [*starts[1:], self.end]
        return list(zip(starts, ends, strict=False))  # of no stretch there is one end

    def outcomes(self, start: bytes, until: bytes | None) -> Iterator[Joined]:
        """Reads one stretch: every decision, with what became of it."""
        logged = self._read(start, until, lambda _: None)
        yield from outcomes(logged, self.catalog.reward, self.registry.catalog, self.as_of_ms)

    def orphans(self, start: bytes, until: bytes | None) -> Iterator[Delivery | Reward]:
        """Reads one stretch: the deliveries, then the rewards, whose decision the log lacks."""
        for one in self.log.orphans(start=start, until=until, on_damage=self._note):
            if is_known_at(one, self.as_of_ms):
                yield one

    def _read(
        self, start: bytes, until: bytes | None, advance: Callable[[int], None]
    ) -> Iterator[LoggedDecision]:
        erased = {one.subject: one for one in tombstones(self.log.store) if not one.is_complete}
        scan = self.log.scan(start=start, until=until, on_damage=self._note)
        for one in known_at(scan, self.as_of_ms):
            advance(1)
            decision = one.decision
            # What was decided after the erasure had been asked for stays.
            tomb = erased.get(decision.subject)
            is_erased = tomb is not None and tomb.covers(decision.subject, decision.decision_id)
            is_sought = self.made_by in {None, decision.policy_version}
            if is_sought and not is_erased and decision.decision_id not in self.damaged:
                yield one

    def _note(self, damage: DamagedRecord) -> None:
        self.damaged.add(damage.key[:ID_BYTES])

    def target(self, version: str) -> Target:
        """A policy by its version, to be evaluated on what it has not learned from.

        Args:
            version: a registered one, a rule, or `module:Class` for a class of somebody's own.

        Raises:
            UnknownVersionError: if it is not registered.
            UnknownRuleError: if it is a rule that the catalog cannot follow.
            UnusableLearnerError: if the class cannot be imported or made.
        """
        if is_own(version):
            return Target(version, OwnPolicy(version))
        policy = self.registry.policy_for(version, self.catalog)
        if not is_learned(version):
            return Target(version, policy)
        training = self.registry.manifest(version).training
        return Target(version, policy, lambda decision: is_fresh(training, decision))
