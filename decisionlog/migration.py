"""Brings a log of an earlier schema to this one: a chain of steps, from each schema to the next.

A step works in bounded transactions. Each of them stores how far it has come, so that a migration
that was stopped goes on where it stood, and a log is at every moment of one schema alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from decisionlog.errors import LogMissing, UnknownSchema
from decisionlog.schema import (
    SCHEMA_VERSION,
    migration_position,
    note_position,
    note_schema,
    schema_version,
)
from decisionlog.store import Store, WriteTransaction
from decisionlog.tables import Table

Step = Callable[[WriteTransaction, bytes], bytes | None]
"""Does a bounded part from a position on, and returns the next position, None when it is done. It
begins with an empty one. All tables of this program are there."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration did."""

    from_schema: int
    to_schema: int
    transactions: int


def add_tables(_transaction: WriteTransaction, _position: bytes) -> None:
    """From 1 to 2: encryption, acts, tombstones.

    Schema 1 knows no record that is encrypted and no act, and would call both damaged; it may lack
    tables, which opening them for a migration has made. No row changes.
    """


STEPS: Final[Mapping[int, Step]] = {1: add_tables}
"""By the schema that each begins with; it ends with the next one."""


def migrate(store: Store, steps: Mapping[int, Step] = STEPS, to: int = SCHEMA_VERSION) -> Migrated:
    """Bring a log to a schema; one that has it already stays as it is.

    Nobody else may have it open: what an older program writes meanwhile would be lost to the step.

    Args:
        store: Open for writing.
        steps: See `STEPS`.
        to: The schema to end with.

    Raises:
        UnknownSchema: There is no step from the log's schema on; nothing was changed.
    """
    found = _begin(store, steps, to)
    version, transactions = found, 0
    while version != to:
        with store.write() as transaction:
            position = steps[version](transaction, migration_position(transaction))
            note_position(transaction, position or b"")
            if position is None:
                version += 1
                note_schema(transaction, version)
        transactions += 1
    return Migrated(found, to, transactions)


def _begin(store: Store, steps: Mapping[int, Step], to: int) -> int:
    """Return the log's schema, and make the tables that it lacks."""
    with store.write() as transaction:
        if not store.has_table(Table.META, transaction):
            raise LogMissing(store.directory)
        found = schema_version(transaction)
        if found is None or found > to or any(each not in steps for each in range(found, to)):
            raise UnknownSchema(store.directory, found, to)
        store.open_tables(transaction)
    return found
