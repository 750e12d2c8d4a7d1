"""The exported tables: their columns, with types, and how a row comes from the log."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from decisionlog import Decision, Delivery, Reward
from decisionlog.caches import SizedCache
from decisionlog.ids import to_text
from decisionlog.readable import PRIORITIES, eligible, no_send_reason, send_time_ms, windows
from decisionlog.records import Tree
from policy.rollout import Arm
from replay.join import Interaction

Row = Mapping[str, Any]

_TEXT: Final = pa.string()
_TIME: Final = pa.timestamp("ms", tz="UTC")
_NUMBER: Final = pa.float64()
_NUMBERS: Final = pa.list_(pa.float64())
_ID: Final = [("decision_id", _TEXT), ("subject", _TEXT)]

SCHEMAS: Final[Mapping[str, pa.Schema]] = {
    "decisions": pa.schema(
        [
            *_ID,
            ("decided_at", _TIME),
            ("arm", _TEXT),
            ("policy_version", _TEXT),
            ("catalog_version", _TEXT),
            ("time_zone", _TEXT),
            ("priority", _TEXT),
            ("no_send_reason", _TEXT),
            ("offer", _TEXT),
            ("channel", _TEXT),
            ("send_time", _TIME),
            ("action_probability", _NUMBER),
            ("offer_pmf", _NUMBERS),
            ("channel_pmf", _NUMBERS),
            ("send_time_pmf", _NUMBERS),
            ("chosen", pa.list_(pa.int32())),
            ("features", _TEXT),
            ("offer_features", _TEXT),
            ("eligible", _TEXT),
            ("windows_start", _TIME),
            ("window_ms", pa.int64()),
            ("earliest_send_time", _TIME),
        ]
    ),
    "deliveries": pa.schema(
        [
            *_ID,
            ("delivery_id", _TEXT),
            ("status", _TEXT),
            ("occurred_at", _TIME),
            ("received_at", _TIME),
            ("actual_offer", _TEXT),
            ("actual_channel", _TEXT),
            ("actual_send_time", _TIME),
            ("detail", _TEXT),
        ]
    ),
    "rewards": pa.schema(
        [
            *_ID,
            ("reward_id", _TEXT),
            ("name", _TEXT),
            ("value", _NUMBER),
            ("occurred_at", _TIME),
            ("received_at", _TIME),
        ]
    ),
    "interactions": pa.schema(
        [
            *_ID,
            ("decided_at", _TIME),
            ("arm", _TEXT),
            ("policy_version", _TEXT),
            ("catalog_version", _TEXT),
            ("offer", _TEXT),
            ("channel", _TEXT),
            ("send_time", _TIME),
            ("reward", _NUMBER),
            ("p_log", _NUMBER),
        ]
    ),
    "evaluation": pa.schema(
        [
            ("decision_id", _TEXT),
            ("subject", pa.int64()),
            ("reward", _NUMBER),
            ("p_log", _NUMBER),
            ("p_target", _NUMBER),
        ]
    ),
}
"""By table; `evaluation` is one for each policy, as `sendwise evaluate --table` takes it."""

_ARMS: Final = {int(arm): arm.name.lower() for arm in Arm}
_PMFS: Final = ("offer_pmf", "channel_pmf", "send_time_pmf")


def decision_row(decision: Decision) -> Row:
    """A row of `decisions`; what was not chosen is null."""
    pmfs = [list(stage.pmf) for stage in decision.stages]
    return {
        **_named(decision),
        "time_zone": decision.time_zone,
        "priority": PRIORITIES.get(decision.priority, str(decision.priority)),
        "no_send_reason": no_send_reason(decision),
        "action_probability": decision.action_probability,
        **dict(zip(_PMFS, pmfs, strict=False)),
        "chosen": list(decision.path) if decision.stages else None,
        "features": _json(decision.features),
        "offer_features": _json({k: dict(v) for k, v in decision.offer_features.items()}),
        "eligible": _eligible(decision.tree),
        "windows_start": decision.grid.start_ms,
        "window_ms": decision.grid.step_ms,
        "earliest_send_time": decision.grid.earliest_ms,
    }


def interaction_row(one: Interaction) -> Row:
    """A row of `interactions`."""
    return {
        **_named(one.decision),
        "reward": one.reward,
        "p_log": one.decision.action_probability,
    }


def delivery_row(delivery: Delivery, subject: bytes | None) -> Row:
    """A row of `deliveries`; the subject is null where the decision is not known."""
    return {
        **_of(delivery.decision_id, subject),
        "delivery_id": delivery.delivery_id,
        "status": delivery.status.name.lower(),
        "occurred_at": delivery.occurred_at_ms,
        "received_at": delivery.received_at_ms,
        "actual_offer": delivery.actual_offer or None,
        "actual_channel": delivery.actual_channel or None,
        "actual_send_time": delivery.actual_send_time_ms or None,
        "detail": delivery.detail,
    }


def reward_row(reward: Reward, subject: bytes | None) -> Row:
    """A row of `rewards`; the subject is null where the decision is not known."""
    return {
        **_of(reward.decision_id, subject),
        "reward_id": reward.reward_id,
        "name": reward.name,
        "value": reward.value,
        "occurred_at": reward.occurred_at_ms,
        "received_at": reward.received_at_ms,
    }


def _named(decision: Decision) -> Row:
    """What decisions and interactions both say."""
    return {
        **_of(decision.decision_id, decision.subject),
        "decided_at": decision.decided_at_ms,
        "arm": _ARMS.get(decision.arm, str(decision.arm)),
        "policy_version": decision.policy_version,
        "catalog_version": decision.catalog_version,
        **_choice(decision),
    }


def _choice(decision: Decision) -> Row:
    if not decision.stages:
        return {"offer": None, "channel": None, "send_time": None}
    offer, channel, place = decision.path
    name, channels = decision.tree[offer]
    channel_name, mask = channels[channel]
    at_ms = send_time_ms(decision, windows(mask)[place])
    return {"offer": name, "channel": channel_name, "send_time": at_ms}


def _of(decision_id: bytes, subject: bytes | None) -> Row:
    return {
        "decision_id": to_text(decision_id),
        "subject": None if subject is None else subject.hex(),
    }


# Most decisions have the tree of the one before, and its text takes longer than all other columns.
_eligible: Final[SizedCache[Tree, str]] = SizedCache(
    lambda tree: _json(eligible(tree)),
    lambda _, text: len(text),
    entry_max=2**20,
    total_max=2**24,
)


def _json(value: object) -> str:
    if isinstance(value, Mapping):
        value = dict(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
