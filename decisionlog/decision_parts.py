"""Takes the message of a decision apart: what comes again in many records is decoded once.

Most of a record is in others as well: its tree, its send windows, its categories, names and flags.
`DecisionParts` has the fields of `DecisionRecord` and leaves those parts as bytes, by which they
are found. Field by field through protobuf a record took three times as long.
"""

import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from google.protobuf.message import DecodeError

from decisionlog.caches import SizedCache
from decisionlog.decision_payload import TREE_SIZE_MAX, TREES_SIZE_MAX, tree_size
from decisionlog.records import Decision, FeatureValue, Grid, OfferNode, Stage, Tree
from sendwise.log.v1 import parts_pb2 as parts_pb
from sendwise.log.v1 import records_pb2 as pb

_DOUBLE: Final = struct.Struct("<d")
_NUMBER_TAG: Final = pb.FeatureValue.NUMBER_FIELD_NUMBER << 3 | 1  # of eight bytes
_MARK: Final = 1.5
_FEATURES: Final = 16_384
"""Categories, flags and names of numbers that are kept: some megabytes of the longest ones."""


def decision_of(payload: bytes) -> Decision:
    """Return the decision of a serialised `DecisionRecord`, unchecked.

    Raises:
        DecodeError, IndexError, ValueError: It is not what `decision_payload` writes.
    """
    record = parts_pb.DecisionParts.FromString(payload)
    return Decision(
        decision_id=record.decision_id,
        subject=record.subject,
        request_digest=record.request_digest,
        arm=record.arm,
        policy_version=record.policy_version,
        catalog_version=record.catalog_version,
        time_zone=record.time_zone,
        priority=record.priority,
        no_send_reason=record.no_send_reason,
        features=dict(map(_feature, record.features)),
        offer_features={one.offer: _features(one.features) for one in record.offer_features},
        grid=_grid(record.grid),
        tree=_tree(record.tree),
        stages=tuple([Stage(_doubles(stage.pmf), stage.chosen) for stage in record.stages]),
    )


def _feature(serialised: bytes) -> tuple[str, FeatureValue]:
    """Return the name and value of a serialised `FeatureValue`."""
    before = serialised[: -_DOUBLE.size]
    # Numbers are mostly new: only what stands before them is kept.
    if before and before[-1] == _NUMBER_TAG:
        name = _number_name(before)
        if name is not None:
            return name, _DOUBLE.unpack(serialised[-_DOUBLE.size :])[0]
    return _other_feature(serialised)


@lru_cache(maxsize=_FEATURES)
def _number_name(before: bytes) -> str | None:
    """Return the name, given all but the number of a feature; None if it has no number there."""
    # A text may have a tag's byte in this place as well, with anything behind it.
    try:
        message = pb.FeatureValue.FromString(before + _DOUBLE.pack(_MARK))
    except DecodeError:
        return None
    return message.name if message.number == _MARK else None


@lru_cache(maxsize=_FEATURES)
def _other_feature(serialised: bytes) -> tuple[str, FeatureValue]:
    message = pb.FeatureValue.FromString(serialised)
    return message.name, _feature_value(message)


def _features(messages: Iterable[pb.FeatureValue]) -> Mapping[str, FeatureValue]:
    return {message.name: _feature_value(message) for message in messages}


def _feature_value(message: pb.FeatureValue) -> FeatureValue:
    field = message.WhichOneof("value")
    if field == "number":
        return message.number
    if field == "category":
        return message.category
    if field == "flag":
        return message.flag
    raise ValueError(f"feature {message.name!r} has no value")


def _grid(message: parts_pb.GridParts) -> Grid:
    return Grid(
        message.start_ms, message.step_ms, message.earliest_ms, _minutes(message.local_minutes)
    )


@lru_cache(maxsize=256)  # of up to some thousand windows; most decisions of an hour share one
def _minutes(serialised: bytes) -> tuple[int, ...]:
    whole = parts_pb.GridParts(local_minutes=serialised).SerializeToString()
    return tuple(pb.Grid.FromString(whole).local_minutes)


def _doubles(serialised: bytes) -> tuple[float, ...]:
    if len(serialised) % _DOUBLE.size:
        raise ValueError(f"{len(serialised)} bytes are no whole number of probabilities")
    return _doubles_form(len(serialised) // _DOUBLE.size).unpack(serialised)


@lru_cache(maxsize=4_096)
def _doubles_form(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}d")


def _new_tree(serialised: bytes) -> Tree:
    """Return the tree of a serialised `EligibleTree`."""
    message = pb.EligibleTree.FromString(serialised)
    offers, channels = tuple(message.offers), tuple(message.channels)
    masks = [int.from_bytes(mask, "little") for mask in message.window_masks]
    return tuple([_offer_node(offers[node.offer], node, channels, masks) for node in message.nodes])


def _offer_node(
    offer: str, node: pb.OfferNode, channels: tuple[str, ...], masks: list[int]
) -> OfferNode:
    return offer, tuple([(channels[c.channel], masks[c.window_mask]) for c in node.channels])


_tree: Final = SizedCache(
    _new_tree,
    lambda _, tree: tree_size(tree),
    entry_max=TREE_SIZE_MAX,
    total_max=TREES_SIZE_MAX,
)
