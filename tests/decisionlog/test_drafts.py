"""A draft holds back what its operations write, until it is told to write it."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from decisionlog.drafts import Draft
from decisionlog.tables import BY_DECISION, Counter, Table

Rows = dict[tuple[Table, bytes], bytes]
TABLES = (Table.DECISIONS, Table.ERASED, Table.REQUESTS)
KEYS = (b"a", b"b", b"c", b"d")
rows = st.dictionaries(
    st.tuples(st.sampled_from(TABLES), st.sampled_from(KEYS)), st.binary(max_size=2), max_size=5
)


class FakeTransaction:
    """Rows in memory; what is put is put at once."""

    def __init__(self, rows: Rows) -> None:
        self.rows = dict(rows)

    def newest(self) -> bytes:
        """Find the greatest key that a new decision could meet."""
        return max((key for table, key in self.rows if table in BY_DECISION), default=b"")

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Look a row up."""
        return self.rows.get((table, key))

    def get_all(self, table: Table, keys: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        """Look many rows up."""
        found = [(key, self.get(table, key)) for key in keys]
        return [(key, value) for key, value in found if value is not None]

    def put_all(self, table: Table, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Store rows."""
        self.rows |= {(table, key): value for key, value in rows}


def seen(lookup: FakeTransaction | Draft) -> dict[tuple[Table, bytes], bytes | None]:
    """Return all rows as they can be read."""
    return {(table, key): lookup.get(table, key) for table in TABLES for key in KEYS}


@given(rows, st.lists(st.tuples(rows, st.lists(st.sampled_from(KEYS))), max_size=4))
def test_a_draft_is_what_its_operations_wrote(
    before: Rows, operations: list[tuple[Rows, list[bytes]]]
) -> None:
    """It reads its own writes over what is there, and writes them when it is told to, not before.

    Of a key that it calls the newest, no table of decisions has a row, written or noted.
    """
    target, expected = FakeTransaction(before), FakeTransaction(before)
    draft, counted = Draft(target), 0
    for writes, read_ahead in operations:
        draft.prepare(Table.DECISIONS, read_ahead)
        for (table, key), value in writes.items():
            draft.put(table, key, value)
            draft.tally(Counter.DECISIONS)
            expected.put_all(table, [(key, value)])
            counted += 1
        assert seen(draft) == seen(expected)
        newest = expected.newest()
        assert [draft.is_newest(key) for key in KEYS] == [key > newest for key in KEYS]
    assert target.rows == before, "it wrote before it was told to"
    draft.write()
    assert target.rows == expected.rows
    assert draft.tallies().get(Counter.DECISIONS, 0) == counted
