"""Reconciles the log: nothing that came in may be missing from what it is counted as."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from decisionlog import Decision, DecisionLog, Delivery, Reservation, Reward
from policy.catalog import Reward as RewardRule
from replay.join import Fate, fate, is_early, is_late


@dataclass(frozen=True, slots=True)
class Ledger:
    """Decisions, rewards and contacts, by what became of them."""

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
    early: int
    """Of a decision of this log, but from before it was made."""
    late: int
    """Of a decision of this log, after its attribution window had closed."""
    unmatched: int
    """Of a decision that this log does not hold."""
    duplicate: int
    """Repeats of a reward that was stored before."""
    contacts: int
    """Messages that decisions reserved."""
    contacts_confirmed: int
    """Reported as sent, or as replaced by what was sent."""
    contacts_released: int
    """Reported as failed or suppressed."""
    contacts_open: int
    """No delivery was reported: they count as if they had been sent."""

    @property
    def balanced(self) -> bool:
        """Whether all that came in is there, once."""
        fates = self.delivered + self.undelivered + self.pending
        reports = self.deliveries_joined + self.deliveries_unmatched + self.deliveries_duplicate
        joins = self.joined + self.early + self.late + self.unmatched + self.duplicate
        contacts = self.contacts_confirmed + self.contacts_released + self.contacts_open
        came_in = (self.decided, self.deliveries, self.rewards, self.contacts)
        return came_in == (fates, reports, joins, contacts)


def ledger(
    log: DecisionLog, rule: RewardRule, on_progress: Callable[[int], None] | None = None
) -> Ledger:
    """Reconciles a log with what it counted when it stored it; others may go on writing to it.

    Args:
        log: read record by record.
        rule: says how long rewards are attributed.
        on_progress: called with the decisions read since the last call.
    """
    before = log.taken()
    fates: Counter[Fate] = Counter()
    rewards: Counter[str] = Counter()
    deliveries = 0
    for logged in log.scan():
        fates[fate(logged)] += 1
        deliveries += len(logged.deliveries)
        rewards.update(_timing(reward, logged.decision, rule) for reward in logged.rewards)
        if on_progress:
            on_progress(1)
    orphans = Counter(isinstance(orphan, Delivery) for orphan in log.orphans())
    contacts = Counter(
        _hold(reservation) for reservation in log.reservations() if reservation.contact is not None
    )
    after = log.taken()
    reports, joins = deliveries + orphans[True], rewards.total() + orphans[False]
    return Ledger(
        decided=_agreed(fates.total(), before.decisions, after.decisions),
        delivered=fates[Fate.DELIVERED],
        undelivered=fates[Fate.FAILED] + fates[Fate.SUPPRESSED] + fates[Fate.OVERRIDDEN],
        pending=fates[Fate.PENDING],
        deliveries=_agreed(reports, before.deliveries, after.deliveries)
        + after.deliveries_repeated,
        deliveries_joined=deliveries,
        deliveries_unmatched=orphans[True],
        deliveries_duplicate=after.deliveries_repeated,
        rewards=_agreed(joins, before.rewards, after.rewards) + after.rewards_repeated,
        joined=rewards["joined"],
        early=rewards["early"],
        late=rewards["late"],
        unmatched=orphans[False],
        duplicate=after.rewards_repeated,
        contacts=_agreed(contacts.total(), before.contacts, after.contacts),
        contacts_confirmed=contacts["confirmed"],
        contacts_released=contacts["released"],
        contacts_open=contacts["open"],
    )


def _agreed(found: int, before: int, after: int) -> int:
    """How many there should be: what was found, if that is within what was counted meanwhile."""
    return found if before <= found <= after else after


def _hold(reservation: Reservation) -> str:
    contact = reservation.in_force
    if contact is None:
        return "released"
    return "confirmed" if contact.confirmed else "open"


def _timing(reward: Reward, decision: Decision, rule: RewardRule) -> str:
    if is_early(reward, decision):
        return "early"
    return "late" if is_late(reward, decision, rule) else "joined"
