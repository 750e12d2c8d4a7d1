"""Contact caps in sliding windows, and the minimum gap, which is a cap of one message a gap."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from policy.bars import Bar
from policy.catalog import Catalog
from policy.catalog_rules import hours_ms
from policy.reasons import Reason
from policy.standing import CATALOGS_MAX, Contact


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `messages` messages in any stretch of `length_ms`; None stands for all."""

    reason: Reason
    messages: int
    length_ms: int
    offer: str | None = None
    channel: str | None = None

    def bars(self, contacts: Sequence[Contact]) -> Iterator[Bar]:
        """When one more message would be one too many.

        A stretch holds its start, not its end: two messages just a length apart share none. Where
        `messages` of them, from the first to the last, lie within less than a length, each moment
        less than a length after the first and before the last would make a stretch hold one more;
        no other moment would.

        Args:
            contacts: ascending by send time; those in the future count as well.
        """
        times_ms = [
            one.send_time_ms
            for one in contacts
            if (self.offer is None or self.offer == one.offer)
            and (self.channel is None or self.channel == one.channel)
        ]
        if len(times_ms) < self.messages:
            return
        offers = None if self.offer is None else frozenset((self.offer,))
        channels = None if self.channel is None else frozenset((self.channel,))
        for first_ms, last_ms in zip(times_ms, times_ms[self.messages - 1 :], strict=False):
            start_ms, end_ms = last_ms - self.length_ms + 1, first_ms + self.length_ms
            if start_ms < end_ms and last_ms - first_ms < self.length_ms:
                yield Bar(self.reason, start_ms, end_ms, offers, channels)


def cap_bars(catalog: Catalog, contacts: Sequence[Contact]) -> Iterator[Bar]:
    """The bars of every cap and minimum gap.

    Args:
        catalog: has the rules.
        contacts: those that count, ascending by send time.
    """
    for limit in _limits(catalog):
        yield from limit.bars(contacts)


def caps_reach_ms(catalog: Catalog) -> int:
    """Length of the longest stretch that any cap or gap looks at."""
    return max((limit.length_ms for limit in _limits(catalog)), default=0)


@lru_cache(maxsize=CATALOGS_MAX)
def _limits(catalog: Catalog) -> tuple[Limit, ...]:
    caps = (
        Limit(Reason.CAP_REACHED, cap.messages, cap.length_ms, cap.offer, cap.channel)
        for cap in catalog.caps
    )
    return (*caps, *_gaps(catalog))


def _gaps(catalog: Catalog) -> Iterator[Limit]:
    if hours := catalog.contacts.minimum_gap_hours:
        yield Limit(Reason.MINIMUM_GAP, 1, hours_ms(hours))
    for name, channel in catalog.channels.items():
        if hours := channel.minimum_gap_hours:
            yield Limit(Reason.MINIMUM_GAP, 1, hours_ms(hours), channel=name)
