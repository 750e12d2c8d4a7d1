"""The log's own notes about itself: what is unknown is refused, not guessed."""

from pathlib import Path

import pytest

from decisionlog import DamagedRecord, DecisionLog, UnknownSchema
from decisionlog.schema import SCHEMA_VERSION
from decisionlog.sealing import seal
from decisionlog.store import Store
from decisionlog.tables import Table
from tests.decisionlog.samples import KEYS, MAP_SIZE_BYTES


def note(directory: Path, value: bytes) -> None:
    """Put another value in the schema's place."""
    with Store(directory, map_size_bytes=MAP_SIZE_BYTES) as store, store.write() as transaction:
        store.open_tables(transaction)
        transaction.put(Table.META, b"schema", value)


def open_log(directory: Path, *, read_only: bool = False) -> DecisionLog:
    """Open a log."""
    return DecisionLog.open(
        directory, keys=KEYS, read_only=read_only, map_size_bytes=MAP_SIZE_BYTES
    )


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("found", [0, 1, 3, 99])
def test_an_unknown_schema_is_refused_untouched(
    tmp_path: Path,
    found: int,
    read_only: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """A log of another version is neither read nor written, and its file stays as it is."""
    open_log(tmp_path).close()
    note(tmp_path, seal(found.to_bytes(8, "big")))
    before = (tmp_path / "log" / "data.mdb").read_bytes()
    with pytest.raises(UnknownSchema) as caught:
        open_log(tmp_path, read_only=read_only)
    assert (caught.value.found, caught.value.supported) == (found, SCHEMA_VERSION)
    assert (tmp_path / "log" / "data.mdb").read_bytes() == before


def test_tables_without_a_schema_are_refused(tmp_path: Path) -> None:
    """A file that has our tables but says nothing of a schema is not ours to write."""
    with Store(tmp_path, map_size_bytes=MAP_SIZE_BYTES) as store, store.write() as transaction:
        store.open_tables(transaction)
    with pytest.raises(UnknownSchema, match="no schema at all"):
        open_log(tmp_path)


@pytest.mark.parametrize("value", [b"", seal(b"1"), b"\x01" + bytes(12)])
def test_a_damaged_schema_is_damage(tmp_path: Path, value: bytes) -> None:
    """A schema that cannot be read is told as damage, not as another version."""
    open_log(tmp_path).close()
    note(tmp_path, value)
    with pytest.raises(DamagedRecord) as caught:
        open_log(tmp_path)
    assert (caught.value.table, caught.value.key) == ("meta", b"schema")
