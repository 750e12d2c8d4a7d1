"""Positions in a table, also where it has no rows or encrypted ones, and walks from one on."""

from collections.abc import Iterator
from typing import Protocol

from decisionlog.encryption import Sealer
from decisionlog.tables import Table


class Cursor(Protocol):
    """A position in a table, in the order of the keys; where there is no row, the key is empty."""

    def set_range(self, key: bytes, /) -> bool:
        """Go to the first row whose key is not below; tell whether there is one."""

    def next(self) -> bool:
        """Go to the next row; tell whether there is one."""

    def last(self) -> bool:
        """Go to the last row; tell whether there is one."""

    def key(self) -> bytes:
        """Return the key here."""

    def value(self) -> bytes:
        """Return the value here."""


class NoRows:
    """A cursor in a table that is not there."""

    def set_range(self, _: bytes, /) -> bool:
        """Find nothing."""
        return False

    def next(self) -> bool:
        """Find nothing."""
        return False

    def last(self) -> bool:
        """Find nothing."""
        return False

    def key(self) -> bytes:
        """Return no key."""
        return b""

    def value(self) -> bytes:
        """Return no value."""
        return b""


class OpeningCursor:
    """A cursor in a table with encrypted rows; it gives their values in plain form."""

    def __init__(self, cursor: Cursor, table: Table, sealer: Sealer) -> None:
        self._cursor = cursor
        self._table = table
        self._sealer = sealer
        self.set_range = cursor.set_range
        self.next = cursor.next
        self.last = cursor.last
        self.key = cursor.key

    def value(self) -> bytes:
        """Return the value here."""
        return self._sealer.open(self._table, self._cursor.key(), self._cursor.value())


def keys_from(cursor: Cursor, start: bytes) -> Iterator[bytes]:
    """Yield the keys of a table from one on; the cursor is at the row of the last one yielded."""
    there = cursor.set_range(start)
    while there:
        yield cursor.key()
        there = cursor.next()


def rows_from(cursor: Cursor, start: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of a table from a key on."""
    return ((key, cursor.value()) for key in keys_from(cursor, start))
