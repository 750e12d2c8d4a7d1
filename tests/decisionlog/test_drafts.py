"""A draft holds back what its operations write, until they have succeeded."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from decisionlog.drafts import Draft
from decisionlog.tables import Counter, Table

Rows = dict[tuple[Table, bytes], bytes]
tables = st.sampled_from([Table.DECISIONS, Table.REQUESTS])
keys = st.sampled_from([b"a", b"b", b"c"])
writes = st.lists(st.tuples(tables, keys, st.none() | st.binary(max_size=2)), max_size=5)
operations = st.lists(
    st.tuples(writes, st.booleans(), st.lists(st.sampled_from([b"a", b"b", b"c"]))), max_size=6
)


class FakeTransaction:
    """Rows in memory; what is put is put at once."""

    def __init__(self, rows: Rows) -> None:
        self.rows = dict(rows)

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

    def delete(self, table: Table, key: bytes) -> bool:
        """Remove a row."""
        return self.rows.pop((table, key), None) is not None


def seen(rows: FakeTransaction | Draft) -> dict[tuple[Table, bytes], bytes | None]:
    """Return all rows as they can be read."""
    return {
        (table, key): rows.get(table, key)
        for table in (Table.DECISIONS, Table.REQUESTS)
        for key in (b"a", b"b", b"c")
    }


@given(st.dictionaries(st.tuples(tables, keys), st.binary(max_size=2)), operations)
def test_a_draft_is_what_its_operations_that_succeeded_wrote(
    before: Rows, batch: list[tuple[list[tuple[Table, bytes, bytes | None]], bool, list[bytes]]]
) -> None:
    """It reads its own writes, forgets those of what failed, and writes the rest in the end."""
    target, expected = FakeTransaction(before), FakeTransaction(before)
    draft = Draft(target)
    kept = 0
    for writes_, succeeds, read_ahead in batch:
        draft.prepare(Table.DECISIONS, read_ahead)
        after = FakeTransaction(expected.rows)
        for table, key, value in writes_:
            draft.put(table, key, value)
            draft.tally(Counter.DECISIONS)
            if value is None:
                after.delete(table, key)
            else:
                after.put_all(table, [(key, value)])
        assert seen(draft) == seen(after)
        if succeeds:
            draft.apply()
            expected, kept = after, kept + len(writes_)
        else:
            draft.discard()
        assert seen(draft) == seen(expected)
    assert target.rows == before, "it wrote before it was told to"
    draft.write()
    assert target.rows == expected.rows
    assert draft.tallies().get(Counter.DECISIONS, 0) == kept
