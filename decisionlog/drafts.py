"""What a batch is about to write: kept aside until each of its operations has succeeded."""

import collections
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from decisionlog.tables import BY_DECISION, Counter, Table

Rows = dict[bytes, bytes]
"""Values by their keys."""


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

    def newest(self) -> bytes:
        """Return the greatest key of all tables in `BY_DECISION`; empty if they are."""

    def get_all(self, table: Table, keys: Iterable[bytes]) -> Iterable[tuple[bytes, bytes]]:
        """Return the keys that are there, with their values."""

    def put_all(self, table: Table, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Store values of one table, each key once."""


class Draft:
    """Reads each row once, sees its own writes, writes nothing until `write`.

    So a batch whose operations did not all succeed has written nothing; and the rows of a whole
    batch reach each table at once. What is tallied is summed over the batch, so that a counter is
    written once for all of it.
    """

    def __init__(self, transaction: Target, floor: bytes = b"") -> None:
        """Begin with nothing noted.

        Args:
            transaction: Where to read, and to write to in the end.
            floor: No id below it is the newest, whatever the tables hold.
        """
        self._transaction = transaction
        self._tables: defaultdict[Table, Rows] = defaultdict(dict)
        self._read: defaultdict[Table, dict[bytes, bytes | None]] = defaultdict(dict)
        self._tallied: list[Counter] = []
        self._newest = max(transaction.newest(), floor)

    def is_newest(self, key: bytes) -> bool:
        """Tell whether a decision's id is above all in `BY_DECISION`: then none of them has it.

        Ids sort by time, so this spares nearly every new decision its look-ups.
        """
        return key > self._newest

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the value of a key, None if there is none."""
        rows = self._tables[table]
        if key in rows:
            return rows[key]
        read = self._read[table]
        if key not in read:
            read[key] = self._transaction.get(table, key)
        return read[key]

    def prepare(self, table: Table, keys: Sequence[bytes]) -> None:
        """Read values ahead that `get` will be asked for: at once, they take half the time."""
        read = self._read[table]
        read |= dict.fromkeys(keys)
        read |= self._transaction.get_all(table, keys)

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """Note a value."""
        self._tables[table][key] = value
        if key > self._newest and table in BY_DECISION:
            self._newest = key

    def tally(self, counter: Counter) -> None:
        """Count one more."""
        self._tallied.append(counter)

    def tallies(self) -> Mapping[Counter, int]:
        """Return what was counted."""
        return collections.Counter(self._tallied)

    def write(self) -> None:
        """Hand all rows that were noted to the transaction."""
        for table, rows in self._tables.items():
            if rows:
                self._transaction.put_all(table, rows.items())
