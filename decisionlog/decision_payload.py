"""Puts the message of a decision together from parts that are serialised already.

Serialised messages may be joined: the parts below, in the order of their fields, are the very bytes
of one `DecisionRecord` (the tests hold them equal). Most parts of a decision are those of the one
before: versions, zone, eligible tree, names of features, the frame around a pmf. They are made by
protobuf once and kept, so that only ids, numbers and times are new. Field by field through
protobuf a record took more than twice as long, and encoding was most of the work of a commit.
"""

import struct
from functools import lru_cache
from typing import Final, Protocol

from decisionlog.caches import SizedCache
from decisionlog.records import Decision, Features, Grid, Stage, Tree
from decisionlog.tables import ID_BYTES
from sendwise.log.v1 import records_pb2 as pb

# Every decision begins with its first three fields: id, subject and digest, 16 bytes each.
IDS: Final = struct.Struct(f"2s{ID_BYTES}s2s{ID_BYTES}s2s{ID_BYTES}s")
FIRST, SECOND, THIRD = (bytes([field << 3 | 2, ID_BYTES]) for field in (1, 2, 3))

_DOUBLE: Final = struct.Struct("<d")
# A cache of parts holds few bytes an entry, and what comes more often than this is worth keeping.
_PARTS: Final = 4_096
# Building the messages of a tree costs more than all the rest of a record. A tree's size is its
# nodes, of about 64 bytes each: a thousand usual trees fit, and a huge one, which would drive them
# all out, is not kept.
TREE_SIZE_MAX: Final = 4_096
TREES_SIZE_MAX: Final = 131_072
_TREE_OVERHEAD: Final = 8  # the entry of the cache, in nodes


class _FeatureList(Protocol):
    """What the generated code calls a repeated FeatureValue."""

    def add(
        self, *, name: str = ..., number: float = ..., category: str = ..., flag: bool = ...
    ) -> pb.FeatureValue: ...


def decision_payload(decision: Decision) -> bytes:
    """Return the serialised `DecisionRecord` of a decision, which has been checked.

    Raises:
        TypeError, ValueError, OverflowError, struct.error: A value has no protobuf form.
    """
    return b"".join(_parts(decision))


def tree_size(tree: Tree) -> int:
    """Return how much a tree takes of a cache, in nodes."""
    return _TREE_OVERHEAD + sum([1 + len(nodes) for _, nodes in tree])


def _parts(decision: Decision) -> list[bytes]:
    constants = (
        decision.arm,
        decision.policy_version,
        decision.catalog_version,
        decision.time_zone,
        decision.priority,
        decision.no_send_reason,
    )
    ids = decision.decision_id, SECOND, decision.subject, THIRD, decision.request_digest
    parts = [IDS.pack(FIRST, *ids), _constants(constants)]
    parts += _features(decision.features)
    if decision.offer_features:
        parts.append(_offer_features(decision))
    parts += _grid(decision.grid), _tree(decision.tree)
    parts += [_stage(stage) for stage in decision.stages]
    return parts


@lru_cache(maxsize=_PARTS)
def _constants(constants: tuple[int, str, str, str, int, int]) -> bytes:
    arm, policy_version, catalog_version, time_zone, priority, no_send_reason = constants
    return pb.DecisionRecord(
        arm=arm,
        policy_version=policy_version,
        catalog_version=catalog_version,
        time_zone=time_zone,
        priority=priority,
        no_send_reason=no_send_reason,
    ).SerializeToString()


def _features(features: Features) -> list[bytes]:
    parts: list[bytes] = []
    for name, number in _names(tuple(features)):
        value = features[name]
        if isinstance(value, str):
            parts.append(_category(name, value))
        elif isinstance(value, bool):  # before numbers: a bool is an int as well
            parts.append(_flag(name, value))
        else:
            parts += number, _DOUBLE.pack(value)
    return parts


@lru_cache(maxsize=128)  # of up to some hundred features
def _names(names: tuple[str, ...]) -> tuple[tuple[str, bytes], ...]:
    """Return names in order, each with what stands before its value where that is a number."""
    return tuple((name, _number(name)) for name in sorted(names))


@lru_cache(maxsize=_PARTS)
def _flag(name: str, flag: bool) -> bytes:  # noqa: FBT001 - the value
    return _feature(pb.FeatureValue(name=name, flag=flag))


@lru_cache(maxsize=_PARTS)
def _category(name: str, category: str) -> bytes:
    return _feature(pb.FeatureValue(name=name, category=category))


@lru_cache(maxsize=_PARTS)
def _number(name: str) -> bytes:
    """Return all of a number's field but the number, which ends it."""
    return _feature(pb.FeatureValue(name=name, number=0.0))[: -_DOUBLE.size]


def _feature(message: pb.FeatureValue) -> bytes:
    return pb.DecisionRecord(features=[message]).SerializeToString()


def _offer_features(decision: Decision) -> bytes:
    record = pb.DecisionRecord()
    for offer, features in sorted(decision.offer_features.items()):
        _add_features(record.offer_features.add(offer=offer).features, features)
    return record.SerializeToString()


def _add_features(messages: _FeatureList, features: Features) -> None:
    add = messages.add
    for name, value in sorted(features.items()):
        if isinstance(value, bool):
            add(name=name, flag=value)
        elif isinstance(value, str):
            add(name=name, category=value)
        else:
            add(name=name, number=value)


def _grid(grid: Grid) -> bytes:
    return _grid_field(grid.start_ms, grid.step_ms, grid.earliest_ms, grid.local_minutes)


@lru_cache(maxsize=256)  # of up to some thousand windows; most decisions of a moment share one
def _grid_field(
    start_ms: int, step_ms: int, earliest_ms: int, local_minutes: tuple[int, ...]
) -> bytes:
    grid = pb.Grid(
        start_ms=start_ms, step_ms=step_ms, earliest_ms=earliest_ms, local_minutes=local_minutes
    )
    return pb.DecisionRecord(grid=grid).SerializeToString()


def _stage(stage: Stage) -> bytes:
    before, numbers, after = _stage_frame(len(stage.pmf), stage.chosen)
    return before + numbers.pack(*stage.pmf) + after


@lru_cache(maxsize=_PARTS)
def _stage_frame(length: int, chosen: int) -> tuple[bytes, struct.Struct, bytes]:
    """Return what surrounds the numbers of a pmf in its field, and their form."""
    numbers, after = struct.Struct(f"<{length}d"), pb.Stage(chosen=chosen).SerializeToString()
    stage = pb.Stage(pmf=[0.0] * length, chosen=chosen)
    whole = pb.DecisionRecord(stages=[stage]).SerializeToString()
    return whole[: -(numbers.size + len(after))], numbers, after


def _new_tree(tree: Tree) -> bytes:
    """Return the tree's field of a serialised decision."""
    offers: dict[str, int] = {}
    channels: dict[str, int] = {}
    masks: dict[int, int] = {}
    record = pb.DecisionRecord(tree=pb.EligibleTree())
    for offer, nodes in tree:
        add = record.tree.nodes.add(offer=offers.setdefault(offer, len(offers))).channels.add
        for channel, mask in nodes:
            add(
                channel=channels.setdefault(channel, len(channels)),
                window_mask=masks.setdefault(mask, len(masks)),
            )
    record.tree.offers.extend(offers)
    record.tree.channels.extend(channels)
    record.tree.window_masks.extend(_mask_bytes(mask) for mask in masks)
    return record.SerializeToString()


def _mask_bytes(mask: int) -> bytes:
    return mask.to_bytes((mask.bit_length() + 7) // 8, "little")


_tree: Final = SizedCache(
    _new_tree,
    lambda tree, _: tree_size(tree),
    entry_max=TREE_SIZE_MAX,
    total_max=TREES_SIZE_MAX,
)
