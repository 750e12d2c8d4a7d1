"""Reconciles the log: nothing that came in may be missing from what it is counted as."""

from collections.abc import Callable
from dataclasses import dataclass

from decisionlog import DecisionLog, Taken
from policy.catalog import Reward as RewardRule
from replay.bulk.tally import OpenLog, tally
from replay.join import Fate

_KINDS = ("decisions", "deliveries", "rewards", "contacts")


@dataclass(frozen=True, slots=True)
class Ledger:
    """Decisions, rewards and contacts, by what became of them."""

    decided: int
    delivered: int
    undelivered: int
    """Failed, suppressed or overridden."""
    pending: int
    """No delivery was reported."""
    decisions_damaged: int
    """Cannot be read, see `sendwise check-log`."""
    decisions_erased: int
    """Removed with their subject."""
    decisions_expired: int
    """Removed by retention."""
    deliveries: int
    """Every report on a delivery that came in, repeats included."""
    deliveries_joined: int
    """On a decision of this log."""
    deliveries_unmatched: int
    """On a decision that this log does not hold, or that is damaged."""
    deliveries_duplicate: int
    """Repeats of a report that was stored before."""
    deliveries_damaged: int
    """Cannot be read, see `sendwise check-log`."""
    deliveries_erased: int
    """Removed with their subject, or come afterwards and not kept."""
    deliveries_expired: int
    """Removed by retention."""
    rewards: int
    """Every reward that came in, repeats included."""
    joined: int
    """Of a decision of this log, in time."""
    early: int
    """Of a decision of this log, but from before it was made."""
    late: int
    """Of a decision of this log, after its attribution window had closed."""
    unmatched: int
    """Of a decision that this log does not hold, or that is damaged."""
    duplicate: int
    """Repeats of a reward that was stored before."""
    rewards_damaged: int
    """Cannot be read, see `sendwise check-log`."""
    rewards_erased: int
    """Removed with their subject, or come afterwards and not kept."""
    rewards_expired: int
    """Removed by retention."""
    contacts: int
    """Messages that decisions reserved."""
    contacts_confirmed: int
    """Reported as sent, or as replaced by what was sent."""
    contacts_released: int
    """Reported as failed or suppressed."""
    contacts_open: int
    """No delivery was reported: they count as if they had been sent."""
    contacts_damaged: int
    """Cannot be read, see `sendwise check-log`."""
    contacts_erased: int
    """Removed with their subject."""
    contacts_expired: int
    """Removed by retention."""

    @property
    def balanced(self) -> bool:
        """Whether all that came in is there, once."""
        gone = [
            getattr(self, f"{kind}_erased") + getattr(self, f"{kind}_expired") for kind in _KINDS
        ]
        damaged = [getattr(self, f"{kind}_damaged") for kind in _KINDS]
        fates = self.delivered + self.undelivered + self.pending
        reports = self.deliveries_joined + self.deliveries_unmatched + self.deliveries_duplicate
        joins = self.joined + self.early + self.late + self.unmatched + self.duplicate
        contacts = self.contacts_confirmed + self.contacts_released + self.contacts_open
        came_in = [self.decided, self.deliveries, self.rewards, self.contacts]
        found = [fates, reports, joins, contacts]
        return came_in == [sum(parts) for parts in zip(found, damaged, gone, strict=True)]

    @property
    def damaged(self) -> int:
        """Records that cannot be read."""
        return sum(int(getattr(self, f"{kind}_damaged")) for kind in _KINDS)


def ledger(
    log: DecisionLog,
    rule: RewardRule,
    on_progress: Callable[[int], None] | None = None,
    *,
    open_log: OpenLog | None = None,
    processes: int | None = None,
) -> Ledger:
    """Reconciles a log with what it counted when it stored it; others may go on writing to it.

    Args:
        log: read record by record.
        rule: says how long rewards are attributed.
        on_progress: called with the decisions read since the last call.
        open_log: opens the same log in another process; None where only this one may read it.
        processes: the most to use; None: one a core. The counts are the same for any number.
    """
    before = log.taken()
    found = tally(log, rule, on_progress, open_log=open_log, processes=processes)
    fates, seen, contacts, damaged = found.fates, found.reports, found.contacts, found.damaged
    after = log.taken()
    reports = seen["deliveries_joined"] + seen["deliveries_orphaned"]
    joins = seen.total() - reports
    deliveries, rewards = reports + damaged["deliveries"], joins + damaged["rewards"]
    came_in = _CameIn(before, after)
    return Ledger(
        decided=came_in.agreed("decisions", fates.total() + damaged["decisions"]),
        delivered=fates[Fate.DELIVERED],
        undelivered=fates[Fate.FAILED] + fates[Fate.SUPPRESSED] + fates[Fate.OVERRIDDEN],
        pending=fates[Fate.PENDING],
        decisions_damaged=damaged["decisions"],
        decisions_erased=after.erased.decisions,
        decisions_expired=after.expired.decisions,
        deliveries=came_in.agreed("deliveries", deliveries) + after.deliveries_repeated,
        deliveries_joined=seen["deliveries_joined"],
        deliveries_unmatched=seen["deliveries_orphaned"],
        deliveries_duplicate=after.deliveries_repeated,
        deliveries_damaged=damaged["deliveries"],
        deliveries_erased=after.erased.deliveries,
        deliveries_expired=after.expired.deliveries,
        rewards=came_in.agreed("rewards", rewards) + after.rewards_repeated,
        joined=seen["rewards_in_time"],
        early=seen["rewards_early"],
        late=seen["rewards_late"],
        unmatched=seen["rewards_orphaned"],
        duplicate=after.rewards_repeated,
        rewards_damaged=damaged["rewards"],
        rewards_erased=after.erased.rewards,
        rewards_expired=after.expired.rewards,
        contacts=came_in.agreed("contacts", contacts.total() + damaged["contacts"]),
        contacts_confirmed=contacts["confirmed"],
        contacts_released=contacts["released"],
        contacts_open=contacts["open"],
        contacts_damaged=damaged["contacts"],
        contacts_erased=after.erased.contacts,
        contacts_expired=after.expired.contacts,
    )


@dataclass(frozen=True, slots=True)
class _CameIn:
    """What was counted when it was stored, before and after the log was read."""

    before: Taken
    after: Taken

    def agreed(self, kind: str, found: int) -> int:
        """How many there should be: what was found and what is gone, if that can be.

        While others write and remove, what is there lies between what was there at first without
        what has gone since, and all that has come until now without what had gone at first.
        """
        low = getattr(self.before, kind) - _gone(self.after, kind)
        high = getattr(self.after, kind) - _gone(self.before, kind)
        is_possible = low <= found <= high
        return found + _gone(self.after, kind) if is_possible else int(getattr(self.after, kind))


def _gone(taken: Taken, kind: str) -> int:
    return int(getattr(taken.erased, kind) + getattr(taken.expired, kind))
