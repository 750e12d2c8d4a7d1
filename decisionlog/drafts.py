"""What one operation is about to write: kept aside until the operation has succeeded."""

import collections
from collections.abc import Mapping
from typing import Protocol

from decisionlog.tables import Counter, Table


class Lookup(Protocol):
    """Something that values can be read from."""

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the value of a key, None if there is none."""


class Transaction(Lookup, Protocol):
    """What an operation may do; a draft of a write transaction can do it, and so can a fake."""

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """Store a value."""


class Draft:
    """Reads through to the transaction, sees its own writes, writes nothing until `apply`.

    So an operation that fails has written nothing, and the rest of its batch goes on. What it
    tallies is summed over the batch, so that a counter is written once for all of it.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._writes: dict[tuple[Table, bytes], bytes] = {}
        self._noted: list[Counter] = []
        self._tallied: list[Counter] = []

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the value of a key, None if there is none."""
        written = self._writes.get((table, key)) if self._writes else None
        return self._transaction.get(table, key) if written is None else written

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """Note a value."""
        self._writes[table, key] = value

    def tally(self, counter: Counter) -> None:
        """Count one more."""
        self._noted.append(counter)

    def apply(self) -> None:
        """Write all that was noted, and begin anew."""
        for (table, key), value in self._writes.items():
            self._transaction.put(table, key, value)
        self._writes.clear()
        self._tallied += self._noted
        self._noted.clear()

    def tallies(self) -> Mapping[Counter, int]:
        """Return what the applied operations have tallied."""
        return collections.Counter(self._tallied)

    def discard(self) -> None:
        """Forget all that was noted."""
        self._writes.clear()
        self._noted.clear()
