"""Reconciles the log: nothing that came in may be missing from what it is counted as."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from decisionlog import DecisionLog, Delivery
from policy.catalog import Reward as RewardRule
from replay.join import Fate, fate, is_late


@dataclass(frozen=True, slots=True)
class Ledger:
    """Decisions and rewards, by what became of them."""

    decided: int
    delivered: int
    undelivered: int
    """Failed, suppressed or overridden."""
    pending: int
    """No delivery was reported."""
    deliveries: int
    """Every report on a delivery that came in, repeats included."""
    deliveries_joined: int
    """On a decision of this log."""
    deliveries_unmatched: int
    """On a decision that this log does not hold."""
    deliveries_duplicate: int
    """Repeats of a report that was stored before."""
    rewards: int
    """Every reward that came in, repeats included."""
    joined: int
    """Of a decision of this log, in time."""
    late: int
    """Of a decision of this log, after its attribution window had closed."""
    unmatched: int
    """Of a decision that this log does not hold."""
    duplicate: int
    """Repeats of a reward that was stored before."""

    @property
    def balanced(self) -> bool:
        """Whether all that came in is there, once."""
        fates = self.delivered + self.undelivered + self.pending
        reports = self.deliveries_joined + self.deliveries_unmatched + self.deliveries_duplicate
        joins = self.joined + self.late + self.unmatched + self.duplicate
        return (self.decided, self.deliveries, self.rewards) == (fates, reports, joins)


def ledger(
    log: DecisionLog, rule: RewardRule, on_progress: Callable[[int], None] | None = None
) -> Ledger:
    """Reconciles a log that nobody writes to meanwhile.

    Args:
        log: read record by record; must hold what it counted when it stored it.
        rule: says how long rewards are attributed.
        on_progress: called with the decisions read since the last call.
    """
    fates: Counter[Fate] = Counter()
    rewards: Counter[bool] = Counter()
    deliveries = 0
    for logged in log.scan():
        fates[fate(logged)] += 1
        deliveries += len(logged.deliveries)
        rewards.update(is_late(reward, logged.decision, rule) for reward in logged.rewards)
        if on_progress:
            on_progress(1)
    orphans = Counter(isinstance(orphan, Delivery) for orphan in log.orphans())
    taken = log.taken()
    return Ledger(
        decided=taken.decisions,
        delivered=fates[Fate.DELIVERED],
        undelivered=fates[Fate.FAILED] + fates[Fate.SUPPRESSED] + fates[Fate.OVERRIDDEN],
        pending=fates[Fate.PENDING],
        deliveries=taken.deliveries + taken.deliveries_repeated,
        deliveries_joined=deliveries,
        deliveries_unmatched=orphans[True],
        deliveries_duplicate=taken.deliveries_repeated,
        rewards=taken.rewards + taken.rewards_repeated,
        joined=rewards[False],
        late=rewards[True],
        unmatched=orphans[False],
        duplicate=taken.rewards_repeated,
    )
