"""Seals old records anew under the key that seals now, in bounded transactions, while others write.

The log says which key seals, and every write transaction asks it. So what is written during the
pass is under the new key already, and when the pass has seen every row, no other key is needed. A
pass that was stopped begins anew and finds less to do.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from decisionlog.encryption import is_sealed, key_id_of
from decisionlog.errors import NoRecordKey
from decisionlog.record_keys import forget_others, record_keys, sealing_key
from decisionlog.scan import row_slices
from decisionlog.store import ReadTransaction, Store, WriteTransaction
from decisionlog.tables import Table

GROUP: Final = 64
"""Rows that one transaction seals anew: others wait for so many."""

OnProgress = Callable[[int], None]
"""Called with the rows looked at since the last call, of `rows_to_read`."""


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """What one pass did."""

    key_id: bytes
    """The key that seals now."""
    rows: int
    """Rows that were looked at."""
    rewritten: int
    """Of them, sealed anew."""
    unreadable: int
    """Of them, damaged, so that they stay as they are."""
    needed: tuple[bytes, ...]
    """Ids of the keys that rows may be sealed under now; all of before if a row is unreadable."""


def rows_to_read(store: Store) -> int:
    """Return how many rows a pass looks at."""
    with store.read() as transaction:
        return sum(transaction.count(table) for table in _tables())


def rekey(store: Store, on_progress: OnProgress | None = None) -> Rekeyed:
    """Seal all records under the key that seals now.

    Args:
        store: Open for writing.
        on_progress: See `OnProgress`.

    Raises:
        NoRecordKey: The log is not encrypted.
        DecisionLogError: The log cannot be written; what was done until then is done.
    """
    with store.read() as transaction:
        key_id = sealing_key(transaction)
    if key_id is None:
        raise NoRecordKey(store.directory)
    rows, rewritten, unreadable = 0, 0, 0
    for table, keys in _slices(store):
        for group in [keys[at : at + GROUP] for at in range(0, len(keys), GROUP)]:
            done, damaged = _seal_group(store, table, group, key_id)
            rewritten, unreadable = rewritten + done, unreadable + damaged
        rows += len(keys)
        if on_progress:
            on_progress(len(keys))
    if not unreadable:
        _forget(store, key_id)
    with store.read() as transaction:
        needed = record_keys(transaction)
    return Rekeyed(key_id, rows, rewritten, unreadable, needed)


def _tables() -> list[Table]:
    return [table for table in Table if table is not Table.META]


def _slices(store: Store) -> Iterator[tuple[Table, list[bytes]]]:
    for table in _tables():
        for rows in row_slices(store, table):
            yield table, [key for key, _ in rows]


def _seal_group(store: Store, table: Table, keys: list[bytes], key_id: bytes) -> tuple[int, int]:
    """Return how many rows were sealed anew, and how many cannot be."""
    with store.read() as transaction:
        old = [key for key in keys if _is_old(transaction, table, key, key_id)]
    if not old:
        return 0, 0
    with store.write() as transaction:
        sealed = [_seal_again(transaction, table, key) for key in old]
    return sum(sealed), len(sealed) - sum(sealed)


def _is_old(transaction: ReadTransaction, table: Table, key: bytes, key_id: bytes) -> bool:
    stored = transaction.stored(table, key)
    return stored is not None and not (is_sealed(stored) and key_id_of(stored) == key_id)


def _seal_again(transaction: WriteTransaction, table: Table, key: bytes) -> bool:
    value = transaction.get(table, key)
    if value is None:  # erased or expired since
        return True
    if is_sealed(value):  # it did not open
        return False
    transaction.put(table, key, value)
    return True


def _forget(store: Store, key_id: bytes) -> None:
    """Forget all keys but one, unless another one seals since."""
    with store.write() as transaction:
        if sealing_key(transaction) == key_id and len(record_keys(transaction)) > 1:
            forget_others(transaction)
