"""Why something may not be sent: the rules by name, in the order in which they are applied."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Reason(IntEnum):
    """Why something is not eligible; numbered as `sendwise.v1.SuppressionReason`."""

    OFFER_NOT_VALID = 1
    NO_CONSENT = 2
    QUIET_HOURS = 3
    CAP_REACHED = 4
    MINIMUM_GAP = 5
    BUDGET_SPENT = 6
    EXCLUSION_GROUP = 7
    COOL_DOWN = 8
    CALLER = 9
    NO_SEND_WINDOW = 10
    NO_CHANNEL = 11


ORDER: Final = (
    Reason.CALLER,
    Reason.NO_CONSENT,
    Reason.NO_SEND_WINDOW,
    Reason.QUIET_HOURS,
    Reason.OFFER_NOT_VALID,
    Reason.CAP_REACHED,
    Reason.MINIMUM_GAP,
    Reason.BUDGET_SPENT,
    Reason.EXCLUSION_GROUP,
    Reason.COOL_DOWN,
    Reason.NO_CHANNEL,
)
"""Where several rules leave nothing together, the one is named after which nothing was left."""

BYPASSABLE: Final = frozenset({Reason.QUIET_HOURS, Reason.CAP_REACHED, Reason.MINIMUM_GAP})
"""What a critical request bypasses; a minimum gap is a cap of one message in its time."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """Something that is not eligible."""

    offer: str
    """Empty where a whole channel is not eligible."""
    channel: str
    """Empty where a whole offer is not eligible; both are set where just this pair is not."""
    reason: Reason
