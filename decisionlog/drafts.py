"""What a batch is about to write: kept aside until each of its operations has succeeded."""

import collections
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from decisionlog.tables import Counter, Table

Rows = dict[bytes, bytes | None]
"""Values by their keys; None where the row is to be removed."""


class Lookup(Protocol):
    """Something that values can be read from."""

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the value of a key, None if there is none."""


class Transaction(Lookup, Protocol):
    """What an operation may do; a draft of a write transaction can do it, and so can a fake."""

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """Store a value."""


class Target(Lookup, Protocol):
    """Where a draft reads, and is written to in the end."""

    def get_all(self, table: Table, keys: Iterable[bytes]) -> Iterable[tuple[bytes, bytes]]:
        """Return the keys that are there, with their values."""

    def put_all(self, table: Table, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Store values of one table, in the order of their keys."""

    def delete(self, table: Table, key: bytes) -> bool:
        """Remove a row; tell whether there was one."""


class Draft:
    """Reads through to the transaction, sees its own writes, writes nothing until `write`.

    So an operation that fails has written nothing, and the rest of its batch goes on; and the rows
    of a whole batch reach each table at once, in the order of their keys. What is tallied is summed
    over the batch, so that a counter is written once for all of it.
    """

    def __init__(self, transaction: Target) -> None:
        self._transaction = transaction
        self._tables: dict[Table, Rows] = {table: {} for table in Table}
        self._read: dict[Table, Rows] = {}  # what was there before, as far as it was asked for
        self._undo: list[tuple[Rows, bytes, object]] = []
        self._tallied: list[Counter] = []
        self._kept = 0  # so many of the tallies are of operations that have succeeded

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the value of a key, None if there is none."""
        rows = self._tables[table]
        if key in rows:
            return rows[key]
        read = self._read.get(table, _NOTHING)
        return read[key] if key in read else self._transaction.get(table, key)

    def prepare(self, table: Table, keys: Sequence[bytes]) -> None:
        """Read values ahead that `get` will be asked for: at once, they take half the time."""
        read = self._read.setdefault(table, {})
        read |= dict.fromkeys(keys)
        read |= self._transaction.get_all(table, keys)

    def put(self, table: Table, key: bytes, value: bytes | None) -> None:
        """Note a value; None to remove the row."""
        rows = self._tables[table]
        self._undo.append((rows, key, rows.get(key, _ABSENT)))
        rows[key] = value

    def delete(self, table: Table, key: bytes) -> None:
        """Note that a row is to be removed; there may be none."""
        self.put(table, key, None)

    def tally(self, counter: Counter) -> None:
        """Count one more."""
        self._tallied.append(counter)

    def apply(self) -> None:
        """Keep all that was noted since the last operation ended."""
        self._undo.clear()
        self._kept = len(self._tallied)

    def discard(self) -> None:
        """Forget all that was noted since the last operation ended."""
        for rows, key, before in reversed(self._undo):
            if before is _ABSENT:
                del rows[key]
            else:
                rows[key] = before  # type: ignore[assignment]  # a value, or None
        self._undo.clear()
        del self._tallied[self._kept :]

    def tallies(self) -> Mapping[Counter, int]:
        """Return what the operations have tallied that were kept."""
        return collections.Counter(self._tallied[: self._kept])

    def write(self) -> None:
        """Hand all that was kept to the transaction."""
        for table, rows in self._tables.items():
            if rows:
                _write(self._transaction, table, rows)


_ABSENT: Final = object()
_NOTHING: Final[Rows] = {}


def _write(transaction: Target, table: Table, rows: Rows) -> None:
    for key, value in rows.items():
        if value is None:
            transaction.delete(table, key)
    transaction.put_all(table, [(k, value) for k, value in rows.items() if value is not None])
