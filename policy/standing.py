"""What rules and history read of a subject and of budgets: stated here, stored elsewhere."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from types import MappingProxyType
from typing import Final, Protocol

from policy.catalog import Catalog
from policy.catalog_rules import hours_ms


class Contact(Protocol):
    """A message that counts for its subject: decided, perhaps sent, perhaps still to be sent."""

    @property
    def offer(self) -> str:
        """The offer's name."""

    @property
    def channel(self) -> str:
        """The channel's name."""

    @property
    def send_time_ms(self) -> int:
        """Unix time at which it is to be sent, or was."""

    @property
    def confirmed(self) -> bool:
        """Whether a delivery report said that it was sent."""


class Response(Protocol):
    """Something that a subject did after a message."""

    @property
    def name(self) -> str:
        """The reward's name."""

    @property
    def offer(self) -> str:
        """The message's offer."""

    @property
    def channel(self) -> str:
        """The message's channel."""

    @property
    def occurred_at_ms(self) -> int:
        """Unix time."""


class Standing(Protocol):
    """What became of a subject so far."""

    @property
    def contacts(self) -> Sequence[Contact]:
        """Messages, ascending by send time."""

    @property
    def responses(self) -> Sequence[Response]:
        """Responses, ascending by time."""


_SEND_TIME = attrgetter("send_time_ms")
CATALOGS_MAX: Final = 32
"""Of so many catalogs what follows from their rules is kept."""

BudgetKey = tuple[str, str, int]
"""Kind (`offer` or `channel`), name, and day as `date.toordinal` in the catalog's zone."""
BudgetSlot = tuple[str, str, int, int]
"""The same and the hour slot: whole hours since the day began, 0 to 24."""
Spent = Mapping[BudgetKey, tuple[int, ...]]
"""Messages of a day by hour slot, 25 numbers; days without any may be missing."""


@dataclass(frozen=True, slots=True)
class _Nothing:
    contacts: tuple[Contact, ...] = ()
    responses: tuple[Response, ...] = ()


NO_STANDING: Final[Standing] = _Nothing()
"""Of a subject who was never written to."""
NOTHING_SPENT: Final[Spent] = MappingProxyType({})


def counted(catalog: Catalog, standing: Standing, now_ms: int, reach_ms: int) -> Sequence[Contact]:
    """The contacts that count: all but those that went unconfirmed for too long.

    Args:
        catalog: says how long that is.
        standing: has the contacts.
        now_ms: time of the decision, Unix time.
        reach_ms: contacts further back than this are left out, for nobody looks at them.
    """
    contacts = standing.contacts
    first = bisect_left(contacts, now_ms - reach_ms, key=_SEND_TIME)
    hours = catalog.contacts.confirm_within_hours
    if hours is None:
        return contacts[first:]
    oldest_ms = now_ms - hours_ms(hours)
    return [one for one in contacts[first:] if one.confirmed or one.send_time_ms > oldest_ms]


@lru_cache(maxsize=CATALOGS_MAX)
def reads_standing(catalog: Catalog) -> bool:
    """Whether a catalog's rules or features depend on what became of the subject so far."""
    gaps = any(channel.minimum_gap_hours for channel in catalog.channels.values())
    rules = catalog.caps or catalog.exclusion_groups or catalog.cool_downs
    return bool(gaps or rules or catalog.contacts.minimum_gap_hours or catalog.history is not None)


def listened(catalog: Catalog) -> frozenset[str]:
    """Names of the rewards that rules or history features depend on."""
    history = catalog.history
    counts = (*history.opens, *history.clicks, *history.conversions) if history else ()
    return frozenset((*counts, *(rule.after for rule in catalog.cool_downs)))
