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
    deliveries_unmatched: int
    """Reports on decisions that this log does not hold."""
    deliveries_duplicate: int
    """Repeats of a delivery that was stored before."""

    @property
    def balanced(self) -> bool:
        """Whether all that came in is counted once."""
        fates = self.delivered + self.undelivered + self.pending
        joins = self.joined + self.late + self.unmatched + self.duplicate
        return self.decided == fates and self.rewards == joins


def ledger(
    log: DecisionLog, rule: RewardRule, on_progress: Callable[[int], None] | None = None
) -> Ledger:
    """Reconciles a log that nobody writes to meanwhile.

    Args:
        log: counted by its tables, and read record by record; the two must agree.
        rule: says how long rewards are attributed.
        on_progress: called with the decisions read since the last call.
    """
    fates: Counter[Fate] = Counter()
    rewards: Counter[bool] = Counter()
    for logged in log.scan():
        fates[fate(logged)] += 1
        rewards.update(is_late(reward, logged.decision, rule) for reward in logged.rewards)
        if on_progress:
            on_progress(1)
    orphans = Counter(isinstance(orphan, Delivery) for orphan in log.orphans())
    counts = log.counts()
    return Ledger(
        decided=counts.decisions,
        delivered=fates[Fate.DELIVERED],
        undelivered=fates[Fate.FAILED] + fates[Fate.SUPPRESSED] + fates[Fate.OVERRIDDEN],
        pending=fates[Fate.PENDING],
        rewards=counts.rewards + counts.rewards_repeated,
        joined=rewards[False],
        late=rewards[True],
        unmatched=orphans[False],
        duplicate=counts.rewards_repeated,
        deliveries_unmatched=orphans[True],
        deliveries_duplicate=counts.deliveries_repeated,
    )
