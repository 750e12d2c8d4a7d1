"""What counts while a call is drafted: what the log holds, and what drafts before would reserve."""

from collections import defaultdict
from collections.abc import Iterable

from decisionlog import BudgetKey, Contact, DecisionLog, Proposal, Spent, Standing
from decisionlog.contacts import Reservation, with_contact


class Present:
    """The state that the next draft of a call starts from.

    Were all drafts of a call made from the same state, most of a large call would have to choose
    again where a budget runs out. What others store meanwhile is not seen: the log looks again.
    """

    def __init__(self, log: DecisionLog) -> None:
        """Nothing is reserved yet."""
        self._log = log
        self._spent: dict[BudgetKey, tuple[int, ...]] = {}
        self._reserved: defaultdict[bytes, list[Reservation]] = defaultdict(list)

    def of(self, subject: bytes, budgets: Iterable[BudgetKey]) -> tuple[Standing, Spent]:
        """What counts for a subject, and what is spent of days of budgets.

        Raises:
            DecisionLogError: if the log cannot be read.
        """
        budgets = tuple(budgets)
        unread = [budget for budget in budgets if budget not in self._spent]
        standing, spent = self._log.standing_and_spent(subject, unread)
        self._spent |= spent
        for reservation in self._reserved.get(subject, ()):
            standing = with_contact(standing, reservation)
        return standing, {budget: self._spent[budget] for budget in budgets}

    def reserve(self, proposal: Proposal) -> None:
        """Counts what a draft would reserve."""
        contact, decision = proposal.contact, proposal.decision
        if contact is None:
            return
        reservation = Reservation(decision.decision_id, decision.subject, contact)
        self._reserved[decision.subject].append(reservation)
        self._charge(contact)

    def _charge(self, contact: Contact) -> None:
        for kind, name, day, hour in contact.slots:
            messages = self._spent.get((kind, name, day))
            if messages is not None:
                more = messages[hour] + 1
                self._spent[kind, name, day] = (*messages[:hour], more, *messages[hour + 1 :])
