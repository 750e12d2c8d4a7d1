"""Compiled loops over the bytes of many records.

They read the form that `decisionlog.codec` writes: a row in which they meet anything unexpected is
marked, and the codec itself decodes it or says what is wrong. A row that they take has its right
checksum and its right id; of its fields they look only at those that a join needs.

All of them stand in this one file, since compiled code is kept by the file it comes from.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from decisionlog.sealing import CODEC_VERSION
from policy.catalog import NO_SEND
from policy.compiled import compiled

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Table = NDArray[Any]
"""Rows of one of the types below."""

DECISION: Final = np.dtype([("ok", np.bool_), ("sends", np.bool_)])
"""What a join needs of a decision: whether something is to be sent."""
REPORT: Final = np.dtype(
    [
        ("ok", np.bool_),
        ("status", np.int64),
        ("occurred_at_ms", np.int64),
        ("received_at_ms", np.int64),
    ]
)
"""What a join needs of a delivery, or of a reward (when it occurred alone)."""
RESERVATION: Final = np.dtype(
    [
        ("ok", np.bool_),
        ("has_contact", np.bool_),
        ("confirmed", np.bool_),
        ("status", np.int64),
    ]
)
"""What is needed of a reservation: of the contact as decided, and of the report, 0 if none."""

_ID = 16
_HEADER = 5
_VERSION = CODEC_VERSION
_VARINT, _FIXED64, _SIZED, _FIXED32 = 0, 1, 2, 5
_MAX_SHIFT = 63
_NO_SEND = np.frombuffer(NO_SEND.encode(), np.uint8)


def _crc_tables() -> NDArray[np.uint32]:
    """Tables of CRC-32 for eight bytes at a time (slicing by 8; Kounavis and Berry 2005)."""
    tables = np.zeros((8, 256), np.uint32)
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
        tables[0, byte] = crc
    for place in range(1, 8):
        before = tables[place - 1]
        tables[place] = before >> np.uint32(8) ^ tables[0, before & np.uint32(0xFF)]
    return tables


_CRC = _crc_tables()


@compiled
def _byte(buffer: Bytes, at: int) -> int:
    """A byte as a number that can be shifted."""
    return int(np.int64(buffer[at]))


@compiled
def _crc32(buffer: Bytes, at: int, end: int) -> int:
    """The CRC-32 of the version's byte and a payload."""
    t = _CRC
    crc = np.uint32(0xFFFFFFFF)
    crc = crc >> np.uint32(8) ^ t[0, (crc ^ np.uint32(_VERSION)) & np.uint32(0xFF)]
    while end - at >= 8:
        low = crc ^ (
            np.uint32(buffer[at])
            | np.uint32(buffer[at + 1]) << np.uint32(8)
            | np.uint32(buffer[at + 2]) << np.uint32(16)
            | np.uint32(buffer[at + 3]) << np.uint32(24)
        )
        crc = (
            t[7, low & np.uint32(0xFF)]
            ^ t[6, low >> np.uint32(8) & np.uint32(0xFF)]
            ^ t[5, low >> np.uint32(16) & np.uint32(0xFF)]
            ^ t[4, low >> np.uint32(24)]
            ^ t[3, buffer[at + 4]]
            ^ t[2, buffer[at + 5]]
            ^ t[1, buffer[at + 6]]
            ^ t[0, buffer[at + 7]]
        )
        at += 8
    while at < end:
        crc = crc >> np.uint32(8) ^ t[0, (crc ^ np.uint32(buffer[at])) & np.uint32(0xFF)]
        at += 1
    return int(np.int64(crc ^ np.uint32(0xFFFFFFFF)))


@compiled
def _is_whole(buffer: Bytes, at: int, end: int) -> bool:
    """Whether a stored value has the known version and its right checksum."""
    if end - at < _HEADER or buffer[at] != _VERSION:
        return False
    stored = 0
    for place in range(at + 1, at + _HEADER):
        stored = stored << 8 | _byte(buffer, place)
    return stored == _crc32(buffer, at + _HEADER, end)


@compiled
def _varint(buffer: Bytes, at: int, end: int) -> tuple[int, int]:
    """A varint as a signed number, and where the next byte is; -1 if there is none."""
    value, shift = 0, 0
    while at < end and shift <= _MAX_SHIFT:
        byte = _byte(buffer, at)
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return 0, -1


@compiled
def _field(buffer: Bytes, at: int, end: int) -> tuple[int, int, int, int]:
    """The tag of a field, its number or its size, where its bytes begin and where they end.

    The end is -1 if it is none.
    """
    tag, at = _varint(buffer, at, end)
    if at < 0:
        return 0, 0, 0, -1
    kind = tag & 7
    if kind == _VARINT:
        value, after = _varint(buffer, at, end)
        return tag, value, at, after
    if kind == _FIXED64:
        return tag, 8, at, at + 8 if at + 8 <= end else -1
    if kind == _SIZED:
        size, at = _varint(buffer, at, end)
        if at < 0 or size < 0 or size > end - at:
            return tag, 0, 0, -1
        return tag, size, at, at + size
    return tag, 0, 0, -1


@compiled
def _is_id(buffer: Bytes, at: int, size: int, ids: Bytes, row: int) -> bool:
    """Whether 16 bytes are the id of a row."""
    if size != _ID:
        return False
    for place in range(_ID):
        if buffer[at + place] != ids[row * _ID + place]:
            return False
    return True


@compiled
def _chosen_offer(buffer: Bytes, at: int, end: int, chosen: int) -> tuple[int, int]:
    """Where the name of a tree's chosen offer begins, and its size; -1 if there is none."""
    begin, nodes, index = at, 0, -1
    while at < end:
        tag, size, here, at = _field(buffer, at, end)
        if at < 0:
            return -1, 0
        if tag == 4 << 3 | _SIZED:
            if nodes == chosen:
                index = 0
                while here < at:
                    inner, value, _, here = _field(buffer, here, at)
                    if here < 0:
                        return -1, 0
                    if inner == 1 << 3 | _VARINT:
                        index = value
            nodes += 1
    if index < 0:
        return -1, 0
    at = begin
    while at < end:
        tag, size, here, at = _field(buffer, at, end)
        if tag == 1 << 3 | _SIZED:
            if index == 0:
                return here, size
            index -= 1
    return -1, 0


@compiled
def _is_no_send(buffer: Bytes, at: int, size: int) -> bool:
    """Whether the name of an offer is that of sending nothing."""
    if size != len(_NO_SEND):
        return False
    for place in range(size):
        if buffer[at + place] != _NO_SEND[place]:
            return False
    return True


@compiled
def _chosen(buffer: Bytes, at: int, end: int) -> int:
    """The index that a stage chose; -1 if it has none."""
    count, chosen = 0, 0
    while at < end:
        tag, size, _, at = _field(buffer, at, end)
        if at < 0:
            return -1
        if tag == 1 << 3 | _SIZED and count == 0 and size % 8 == 0:
            count = size // 8
        elif tag == 2 << 3 | _VARINT:
            chosen = size
        else:
            return -1
    return chosen if chosen < count else -1


@compiled
def _decision(buffer: Bytes, bounds: Ints, ids: Bytes, row: int, out: Table) -> bool:
    """Reads one decision; tells whether it is what was expected."""
    at, end = bounds[2 * row], bounds[2 * row + 1]
    if not _is_whole(buffer, at, end):
        return False
    at += _HEADER
    has_id, has_subject, tree, tree_end, first, stages = False, False, 0, 0, -1, 0
    while at < end:
        tag, size, here, at = _field(buffer, at, end)
        if at < 0:
            return False
        number = tag >> 3
        if tag == 1 << 3 | _SIZED:
            has_id = _is_id(buffer, here, size, ids, row)
        elif tag == 2 << 3 | _SIZED:
            has_subject = size == _ID
        elif tag == 13 << 3 | _SIZED:
            if tree_end:
                return False
            tree, tree_end = here, at
        elif tag == 14 << 3 | _SIZED:
            chosen = _chosen(buffer, here, at)
            if chosen < 0:
                return False
            if stages == 0:
                first = chosen
            stages += 1
        elif number < 1 or number > 14:
            return False
    if not (has_id and has_subject):
        return False
    if stages:
        name, size = _chosen_offer(buffer, tree, tree_end, first)
        if name < 0:
            return False
        out[row].sends = not _is_no_send(buffer, name, size)
    return True


@compiled
def read_ids(buffer: Bytes, bounds: Ints, sizes: Ints, ids: Bytes) -> None:
    """Copies the ids that keys begin with.

    Args:
        buffer: holds keys and values in turns.
        bounds: where each key and each value ends.
        sizes: of each key and each value.
        ids: gets 16 bytes for each row, joined; what a key lacks stays as it is.
    """
    for row in range(len(ids) // _ID):
        begin = bounds[2 * row] - sizes[2 * row]
        for place in range(min(sizes[2 * row], _ID)):
            ids[row * _ID + place] = buffer[begin + place]


@compiled
def read_decisions(buffer: Bytes, bounds: Ints, ids: Bytes, out: Table) -> None:
    """Reads decisions.

    Args:
        buffer: holds their stored values.
        bounds: where each begins and ends.
        ids: their keys, joined.
        out: a row of `DECISION` for each, of zeros.
    """
    for row in range(len(out)):
        out[row].ok = _decision(buffer, bounds, ids, row, out)


@compiled
def _delivery(buffer: Bytes, at: int, end: int, ids: Bytes, row: int, out: Table) -> bool:
    has_id = False
    while at < end:
        tag, size, here, at = _field(buffer, at, end)
        if at < 0:
            return False
        if tag == 1 << 3 | _SIZED:
            has_id = _is_id(buffer, here, size, ids, row)
        elif tag == 3 << 3 | _VARINT:
            out[row].status = size
        elif tag == 4 << 3 | _VARINT:
            out[row].occurred_at_ms = size
        elif tag == 5 << 3 | _VARINT:
            out[row].received_at_ms = size
    return has_id and out[row].status >= 1 and out[row].status <= 4


@compiled
def read_deliveries(buffer: Bytes, bounds: Ints, ids: Bytes, out: Table) -> None:
    """Reads deliveries; `ids` are the decisions' ids, `out` rows of `REPORT`."""
    for row in range(len(out)):
        at, end = bounds[2 * row], bounds[2 * row + 1]
        is_whole = _is_whole(buffer, at, end)
        out[row].ok = is_whole and _delivery(buffer, at + _HEADER, end, ids, row, out)


@compiled
def _reward(buffer: Bytes, at: int, end: int, ids: Bytes, row: int, out: Table) -> bool:
    has_id = False
    while at < end:
        tag, size, here, at = _field(buffer, at, end)
        if at < 0:
            return False
        if tag == 1 << 3 | _SIZED:
            has_id = _is_id(buffer, here, size, ids, row)
        elif tag == 5 << 3 | _VARINT:
            out[row].occurred_at_ms = size
    return has_id


@compiled
def read_rewards(buffer: Bytes, bounds: Ints, ids: Bytes, out: Table) -> None:
    """Reads rewards; `ids` are the decisions' ids, `out` rows of `REPORT`."""
    for row in range(len(out)):
        at, end = bounds[2 * row], bounds[2 * row + 1]
        is_whole = _is_whole(buffer, at, end)
        out[row].ok = is_whole and _reward(buffer, at + _HEADER, end, ids, row, out)


@compiled
def _value_in(buffer: Bytes, at: int, end: int, sought: int) -> int:
    """The number of a field of a message, 0 if it is not there; -1 if the message is none."""
    found = 0
    while at < end:
        tag, value, _, at = _field(buffer, at, end)
        if at < 0:
            return -1
        if tag == sought << 3 | _VARINT:
            found = value
    return found


@compiled
def _reservation(buffer: Bytes, at: int, end: int, ids: Bytes, row: int, out: Table) -> bool:
    has_id, has_subject, has_report = False, False, False
    while at < end:
        tag, size, here, at = _field(buffer, at, end)
        if at < 0:
            return False
        if tag == 1 << 3 | _SIZED:
            has_id = _is_id(buffer, here, size, ids, row)
        elif tag == 2 << 3 | _SIZED:
            has_subject = size == _ID
        elif tag == 3 << 3 | _SIZED and not out[row].has_contact:
            confirmed = _value_in(buffer, here, at, 5)
            if confirmed < 0:
                return False
            out[row].has_contact, out[row].confirmed = True, confirmed != 0
        elif tag == 4 << 3 | _SIZED and not has_report:
            has_report = True
            out[row].status = _value_in(buffer, here, at, 3)
            # What was really sent in the place of the contact is for the codec to say.
            if out[row].status < 1 or out[row].status > 3:
                return False
        else:
            return False
    return has_id and has_subject


@compiled
def read_reservations(buffer: Bytes, bounds: Ints, ids: Bytes, out: Table) -> None:
    """Reads reservations; `ids` are the decisions' ids, `out` rows of `RESERVATION`."""
    for row in range(len(out)):
        at, end = bounds[2 * row], bounds[2 * row + 1]
        is_whole = _is_whole(buffer, at, end)
        out[row].ok = is_whole and _reservation(buffer, at + _HEADER, end, ids, row, out)
