"""Bars: stretches of time in which certain messages must not be sent, and by which rule.

Every rule about contacts comes down to bars. A send window is legal by its own send time: what lies
within no bar may be chosen, be it hours or days ahead.
"""

from typing import NamedTuple

from policy.reasons import Reason

ALWAYS_MS = 0
"""Start of a bar that needs no start: no message is sent before 1970."""


class Bar(NamedTuple):
    """No message of these offers on these channels from `start_ms` until before `end_ms`."""

    reason: Reason
    start_ms: int
    """Unix time."""
    end_ms: int
    """Unix time, exclusive."""
    offers: frozenset[str] | None = None
    """None for all offers."""
    channels: frozenset[str] | None = None
    """None for all channels."""

    def concerns(self, offer: str, channel: str) -> bool:
        """Whether it holds for a message of this offer on this channel."""
        return (self.offers is None or offer in self.offers) and (
            self.channels is None or channel in self.channels
        )

    def forbids(self, offer: str, channel: str, send_time_ms: int) -> bool:
        """Whether it forbids this message."""
        return self.start_ms <= send_time_ms < self.end_ms and self.concerns(offer, channel)
