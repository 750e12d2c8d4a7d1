"""What the decision log holds: plain values that know neither their encoding nor their store."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

FeatureValue = float | str | bool
Features = Mapping[str, FeatureValue]

# Plain tuples, so that this package and `policy` need not know each other:
# a channel node is (channel, set of windows as a bit mask), an offer node (offer, channel nodes).
ChannelNode = tuple[str, int]
OfferNode = tuple[str, tuple[ChannelNode, ...]]
Tree = tuple[OfferNode, ...]


class DeliveryStatus(IntEnum):
    """What became of a choice; numbered as on the wire."""

    SENT = 1
    FAILED = 2
    SUPPRESSED = 3
    OVERRIDDEN = 4


class ReportOutcome(IntEnum):
    """How a report was taken; numbered as on the wire."""

    ACCEPTED = 1
    REPEATED = 2
    UNMATCHED = 3


class NoSendReason(IntEnum):
    """Why nothing is to be sent; numbered as on the wire."""

    CHOSEN = 1
    NOTHING_ELIGIBLE = 2
    HOLDOUT = 3


@dataclass(frozen=True, slots=True)
class Grid:
    """The send windows of a decision."""

    start_ms: int
    """Start of window 0, Unix time."""
    step_ms: int
    """Length of a window."""
    earliest_ms: int
    """Nothing is sent before this moment: now, or the caller's earliest send time."""
    local_minutes: tuple[int, ...]
    """Minute of the week at each window's start, in the subject's zone; 0 is Monday 00:00."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a choice."""

    pmf: tuple[float, ...]
    """Probability of each eligible action, in the order of the tree."""
    chosen: int
    """Index of the chosen one."""

    @property
    def probability(self) -> float:
        """Probability of the chosen action."""
        return self.pmf[self.chosen]


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision with all that is needed to recompute it."""

    decision_id: bytes
    """UUIDv7, 16 bytes: ids sort by time."""
    subject: bytes
    """Keyed hash of the subject's id, 16 bytes."""
    request_digest: bytes
    """Keyed hash of the request that was answered, 16 bytes; zeros if it had no id."""
    arm: int
    """Why this policy answered; numbered as `sendwise.v1.Arm`."""
    policy_version: str
    catalog_version: str
    time_zone: str
    priority: int
    """Numbered as `sendwise.v1.Priority`."""
    no_send_reason: int
    """Numbered as `sendwise.v1.NoSendReason`; 0 if something is to be sent."""
    features: Features
    """Features of the request, as the policy used them."""
    offer_features: Mapping[str, Features]
    """Features of the request for single offers."""
    grid: Grid
    tree: Tree
    """Everything that could be chosen; empty if nothing could."""
    stages: tuple[Stage, ...]
    """Offer, channel, send time; empty if nothing could be chosen."""

    @property
    def decided_at_ms(self) -> int:
        """Unix time of the decision, from its id."""
        return int.from_bytes(self.decision_id[:6], "big")

    @property
    def path(self) -> tuple[int, ...]:
        """Indices of the chosen offer, channel and send time; empty if there was nothing."""
        return tuple([stage.chosen for stage in self.stages])

    @property
    def action_probability(self) -> float:
        """Product of the stages' probabilities; 1 if there was nothing to choose."""
        found = 1.0
        for stage in self.stages:  # a loop: evaluation asks for every decision of a log
            found *= stage.pmf[stage.chosen]
        return found


@dataclass(frozen=True, slots=True)
class Delivery:
    """A report on what became of a decision."""

    decision_id: bytes
    delivery_id: str
    """The caller's idempotency key within the decision."""
    status: DeliveryStatus
    occurred_at_ms: int
    received_at_ms: int
    actual_offer: str = ""
    """What was really sent, where something else was."""
    actual_channel: str = ""
    actual_send_time_ms: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Reward:
    """One thing that a subject did after a decision."""

    decision_id: bytes
    reward_id: str
    """The caller's idempotency key within the decision."""
    name: str
    value: float
    occurred_at_ms: int
    received_at_ms: int
