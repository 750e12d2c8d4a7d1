"""The tables on disk are what was put there, in whatever order it came."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decisionlog.errors import LogReadOnly
from decisionlog.store import Store, WriteTransaction
from decisionlog.tables import Table
from tests.decisionlog.samples import MAP_SIZE_BYTES

TABLES = (Table.DECISIONS, Table.REWARDS)  # one that is sorted by time, one that is not
keys = st.binary(min_size=1, max_size=2)
rows = st.dictionaries(keys, st.binary(max_size=3), max_size=8)
steps = st.one_of(
    st.tuples(st.just("put_all"), rows),
    st.tuples(st.just("put"), st.dictionaries(keys, st.binary(max_size=3), min_size=1, max_size=1)),
    st.tuples(st.just("delete"), st.dictionaries(keys, st.just(b""), max_size=3)),
)


def do(transaction: WriteTransaction, table: Table, how: str, rows: dict[bytes, bytes]) -> None:
    """Do one step to a table."""
    if how == "put_all":
        transaction.put_all(table, rows.items())
    for key, value in rows.items():
        if how == "put":
            transaction.put(table, key, value)
        elif how == "delete":
            transaction.delete(table, key)


@settings(deadline=None)
@given(st.lists(st.lists(steps, max_size=4), max_size=4))
def test_tables_are_what_was_put_there(
    transactions: list[list[tuple[str, dict[bytes, bytes]]]],
) -> None:
    """Whether keys come in order or not, each step is seen at once, and by later transactions."""
    expected: dict[bytes, bytes] = {}
    with (
        TemporaryDirectory() as directory,
        Store(Path(directory), map_size_bytes=MAP_SIZE_BYTES) as store,
    ):
        with store.write() as transaction:
            store.open_tables(transaction)
        for batch in transactions:
            with store.write() as transaction:
                for how, step in batch:
                    for table in TABLES:
                        do(transaction, table, how, step)
                    expected = (
                        {key: expected[key] for key in expected.keys() - step.keys()}
                        if how == "delete"
                        else expected | step
                    )
                    for key in expected.keys() | step.keys():
                        assert {transaction.get(table, key) for table in TABLES} == {
                            expected.get(key)
                        }
            with store.read() as reader:
                assert [reader.count(table) for table in TABLES] == 2 * [len(expected)]
                found = {key: reader.get(table, key) for key in expected for table in TABLES}
                assert found == expected


def test_what_only_reads_never_writes(tmp_path: Path) -> None:
    """A store that was opened to read refuses a write transaction."""
    with Store(tmp_path, map_size_bytes=MAP_SIZE_BYTES) as store, store.write() as transaction:
        store.open_tables(transaction)
    with (
        Store(tmp_path, read_only=True) as reader,
        pytest.raises(LogReadOnly),
        reader.write(),
    ):
        pass
