"""What the log holds as JSON values: names in place of indices, times as people write them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import singledispatch
from typing import Any, Final

from decisionlog.contacts import AuditEntry, Contact, Reservation, Response, Standing
from decisionlog.ids import to_text
from decisionlog.records import Decision, Delivery, NoSendReason, Reward, Tree
from decisionlog.subject_data import Item, Request
from decisionlog.tombstones import Tombstone

Json = Mapping[str, Any]
"""Values that `json.dumps` takes."""

KINDS: Final[Mapping[type, str]] = {
    Decision: "decision",
    Delivery: "delivery",
    Reward: "reward",
    Reservation: "contact",
    AuditEntry: "audit",
    Request: "request",
    Standing: "standing",
    Tombstone: "tombstone",
}
"""What each kind of item is called outside."""
PRIORITIES: Final = {1: "normal", 2: "critical"}
"""Numbered as `sendwise.v1.Priority`."""
_STAGES: Final = ("offer", "channel", "send_time")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def time_text(at_ms: int) -> str:
    """Return a Unix time as ISO 8601 in UTC; one that no calendar has as its number of ms."""
    try:
        return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds")
    except OverflowError:
        return f"{at_ms} ms"


@singledispatch
def readable(item: Item, arms: Mapping[int, str]) -> Json:  # noqa: ARG001 - the forms below use it
    """Return an item as JSON values.

    Args:
        item: From `subject_data.held_of`.
        arms: Names of the arms by their numbers.
    """
    raise TypeError(f"{type(item).__name__} is no item of the log")


@readable.register
def _(item: Decision, arms: Mapping[int, str]) -> Json:
    return {
        "decision_id": to_text(item.decision_id),
        "decided_at": time_text(item.decided_at_ms),
        "subject": item.subject.hex(),
        "request_digest": item.request_digest.hex(),
        "arm": arms.get(item.arm, str(item.arm)),
        "policy_version": item.policy_version,
        "catalog_version": item.catalog_version,
        "time_zone": item.time_zone,
        "priority": PRIORITIES.get(item.priority, str(item.priority)),
        "no_send_reason": no_send_reason(item),
        "choice": choice(item),
        "action_probability": item.action_probability,
        "features": dict(item.features),
        "offer_features": {offer: dict(found) for offer, found in item.offer_features.items()},
        "windows": _windows_of(item),
        "eligible": eligible(item.tree),
        "stages": {
            name: {"pmf": list(stage.pmf), "chosen": stage.chosen}
            for name, stage in zip(_STAGES, item.stages, strict=False)
        },
    }


def no_send_reason(decision: Decision) -> str | None:
    """Return why nothing is sent; None if something is."""
    if not decision.no_send_reason:
        return None
    return NoSendReason(decision.no_send_reason).name.lower()


def choice(decision: Decision) -> Json | None:
    """Return offer, channel and send time that were chosen; None if there was no choice."""
    if len(decision.stages) != len(_STAGES):
        return None
    offer, channel, place = decision.path
    name, channels = decision.tree[offer]
    channel_name, mask = channels[channel]
    at_ms = send_time_ms(decision, windows(mask)[place])
    return {"offer": name, "channel": channel_name, "send_time": time_text(at_ms)}


def _windows_of(decision: Decision) -> Json:
    """Return what the digits of `eligible` stand for."""
    grid = decision.grid
    return {
        "start": time_text(grid.start_ms),
        "window_ms": grid.step_ms,
        "earliest_send_time": time_text(grid.earliest_ms),
    }


def eligible(tree: Tree) -> list[Json]:
    """Return all that could be chosen.

    `windows` has a digit a send window, from window 0 to the last one that is eligible; 1 says that
    it is. Spelled out, the send times of a usual catalog would take most of a record's room.
    """
    return [
        {"offer": offer, "channel": channel, "windows": f"{mask:b}"[::-1]}
        for offer, channels in tree
        for channel, mask in channels
    ]


def windows(mask: int) -> list[int]:
    """Return the windows of a set, ascending."""
    return [window for window in range(mask.bit_length()) if mask >> window & 1]


def send_time_ms(decision: Decision, window: int) -> int:
    """Return the first moment of a window that is not too early, Unix time."""
    grid = decision.grid
    return max(grid.start_ms + window * grid.step_ms, grid.earliest_ms)


@readable.register
def _(item: Delivery, _: Mapping[int, str]) -> Json:
    sent_ms = item.actual_send_time_ms
    return {
        "decision_id": to_text(item.decision_id),
        "delivery_id": item.delivery_id,
        "status": item.status.name.lower(),
        "occurred_at": time_text(item.occurred_at_ms),
        "received_at": time_text(item.received_at_ms),
        "actual_offer": item.actual_offer,
        "actual_channel": item.actual_channel,
        "actual_send_time": time_text(sent_ms) if sent_ms else None,
        "detail": item.detail,
    }


@readable.register
def _(item: Reward, _: Mapping[int, str]) -> Json:
    return {
        "decision_id": to_text(item.decision_id),
        "reward_id": item.reward_id,
        "name": item.name,
        "value": item.value,
        "occurred_at": time_text(item.occurred_at_ms),
        "received_at": time_text(item.received_at_ms),
    }


@readable.register
def _(item: Reservation, arms: Mapping[int, str]) -> Json:
    return {
        "decision_id": to_text(item.decision_id),
        "decided": None if item.contact is None else _contact(item.contact),
        "in_force": None if item.in_force is None else _contact(item.in_force),
        "report": None if item.report is None else readable(item.report, arms),
    }


def _contact(contact: Contact) -> Json:
    return {
        "decision_id": to_text(contact.decision_id),
        "offer": contact.offer,
        "channel": contact.channel,
        "send_time": time_text(contact.send_time_ms),
        "confirmed": contact.confirmed,
    }


@readable.register
def _(item: Standing, _: Mapping[int, str]) -> Json:
    return {
        "contacts": [_contact(each) for each in item.contacts],
        "responses": [_response(each) for each in item.responses],
    }


def _response(response: Response) -> Json:
    return {
        "decision_id": to_text(response.decision_id),
        "name": response.name,
        "offer": response.offer,
        "channel": response.channel,
        "occurred_at": time_text(response.occurred_at_ms),
    }


@readable.register
def _(item: AuditEntry, _: Mapping[int, str]) -> Json:
    return {
        "time": time_text(item.occurred_at_ms),
        "kind": item.kind.name.lower(),
        "decision_id": to_text(item.decision_id),
        "bypassed": list(item.bypassed),
    }


@readable.register
def _(item: Request, _: Mapping[int, str]) -> Json:
    return {
        "request_key": item.request_key.hex(),
        "decision_id": to_text(item.decision_id),
        "request_digest": item.request_digest.hex(),
    }


@readable.register
def _(item: Tombstone, _: Mapping[int, str]) -> Json:
    return {
        "subject": item.subject.hex(),
        "erased_at": time_text(item.erased_at_ms),
        "complete": item.is_complete,
    }
