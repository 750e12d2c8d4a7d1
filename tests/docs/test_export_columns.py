"""The documented columns of exported tables are those that are written, with their types."""

import pyarrow as pa
import pytest

from replay.export.columns import SCHEMAS
from tests.docs.documents import code_of, document

EXPORT = document("docs/export.md")
NAMES = {
    "timestamp[ms, tz=UTC]": "timestamp[ms, UTC]",
    "list<item: double>": "list of double",
    "list<item: int32>": "list of int32",
}


def _name(kind: pa.DataType) -> str:
    return NAMES.get(str(kind), str(kind))


@pytest.mark.parametrize("table", SCHEMAS)
def test_columns_are_documented_with_their_types(table: str) -> None:
    """Every column, in its order, with its type; no others."""
    rows = EXPORT.tables(f"`{table}`")[0]
    documented = [(code_of(row[0]), row[1]) for row in rows]
    assert documented == [(field.name, _name(field.type)) for field in SCHEMAS[table]]
