"""Cuts the log into stretches of so many decisions each, for those who read it in parts."""

from collections.abc import Iterator
from itertools import islice, takewhile
from typing import Final

from decisionlog.cursors import keys_from
from decisionlog.store import Store
from decisionlog.tables import ID_BYTES, Table

KEYS_A_TRANSACTION: Final = 65_536


def cuts(store: Store, every: int, start: bytes = b"", until: bytes | None = None) -> list[bytes]:
    """Return the ids at which stretches begin, in order; none if there are no decisions.

    Args:
        store: Where to read.
        every: Decisions of a stretch; the last one may have fewer.
        start: The first id, or a `lower_bound`.
        until: The first id that is left out; None: up to the end.

    Raises:
        ValueError: A stretch of less than one decision never ends.
    """
    if every < 1:
        raise ValueError(f"a stretch of {every} decisions never ends")
    return [key for place, key in enumerate(_keys(store, start, until)) if place % every == 0]


def even_cuts(store: Store, parts: int) -> list[bytes]:
    """Return ids that cut the log, from its first decision to its last, into parts of equal time.

    Finding them takes no time, however long the log is; how many decisions a part has depends on
    how evenly they were made.

    Args:
        store: Where to look.
        parts: How many parts; a log of one moment has fewer.

    Returns:
        The ids at which a part ends and the next one begins, in order; none for less than two.
    """
    with store.read() as transaction:
        cursor = transaction.cursor(Table.DECISIONS)
        first = _number(cursor.key()) if cursor.set_range(b"") else 0
        last = _number(cursor.key()) if cursor.last() else 0
    ends = {first + (last - first) * part // parts for part in range(1, parts)}
    return [number.to_bytes(ID_BYTES, "big") for number in sorted(ends)]


def _number(key: bytes) -> int:
    return int.from_bytes(key[:ID_BYTES].ljust(ID_BYTES, b"\0"), "big")


def _keys(store: Store, start: bytes, until: bytes | None) -> Iterator[bytes]:
    """Yield all ids; each transaction is short, as a long one bloats the file for ever."""
    while True:
        keys = _some_keys(store, start, until)
        yield from keys
        if len(keys) < KEYS_A_TRANSACTION:
            return
        start = keys[-1] + b"\0"


def _some_keys(store: Store, start: bytes, until: bytes | None) -> list[bytes]:
    with store.read() as transaction:
        keys = keys_from(transaction.cursor(Table.DECISIONS), start)
        inside = keys if until is None else takewhile(lambda key: key < until, keys)
        return list(islice(inside, KEYS_A_TRANSACTION))
