"""Parquet files that appear whole or not at all, written and cleaned in bounded memory."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from policy.files import sync
from replay.export.columns import Row

BATCH_BYTES: Final = 16 * 2**20
"""What the rows may take that are held before they are written."""
_ROW_BYTES: Final = 1_024  # a row's own, and what its small values take
UNFINISHED: Final = ".unfinished"
"""How the name of a file ends that is being written; readers of tables look for .parquet."""


class TableWriter:
    """Takes rows and writes them in batches."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._rows: list[Row] = []
        self._held_bytes = 0
        self.count = 0

    def add(self, row: Row) -> None:
        """Takes a row."""
        self._rows.append(row)
        self.count += 1
        self._held_bytes += _size_of(row)
        if self._held_bytes >= BATCH_BYTES:
            self._flush()

    def add_all(self, rows: pa.RecordBatch) -> None:
        """Takes rows that are columns already."""
        self._flush()
        self._writer.write_batch(rows)
        self.count += rows.num_rows

    def close(self) -> None:
        """Writes what is left."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self.schema))
            self._rows, self._held_bytes = [], 0


def _size_of(row: Row) -> int:
    """About how many bytes a row takes: a number in a list is an object and a reference to it."""
    sizes = [
        len(value) if isinstance(value, str) else 32 * len(value)
        for value in row.values()
        if isinstance(value, str | list)
    ]
    return _ROW_BYTES + sum(sizes)


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Yields a name to write to, which becomes the file at the end; not if anything is raised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + UNFINISHED)
    try:
        yield scratch
        sync(scratch)
        os.replace(scratch, path)  # noqa: PTH105 - says that it replaces
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextmanager
def table_writer(path: Path, schema: pa.Schema) -> Iterator[TableWriter]:
    """Yields a writer of a table that is there as a whole when the block has ended."""
    with appearing(path) as scratch:
        writer = TableWriter(scratch, schema)
        try:
            yield writer
        finally:
            writer.close()


def rows_of(path: Path, columns: list[str]) -> Iterator[Any]:
    """Yields some columns of a table, as lists, row group by row group."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=columns)
            yield from zip(*(table.column(name).to_pylist() for name in columns), strict=True)


def rows_between(
    path: Path, schema: pa.Schema, bounds: tuple[str, str], without: Sequence[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a table between two ids of decisions, a row group at a time.

    Args:
        path: of the table; one that is not there has no rows.
        schema: of what is yielded; columns that the table does not have are null.
        bounds: the first id, and the first one that is left out.
        without: ids that are left out as well.
    """
    if not path.exists():
        return
    name = ds.field("decision_id")
    wanted = (name >= bounds[0]) & (name < bounds[1]) & ~name.isin(pa.array(without, pa.string()))
    table = ds.dataset(path, schema=schema, format="parquet")
    batches = table.to_batches(filter=wanted, batch_readahead=1, fragment_readahead=1)
    yield from (batch for batch in batches if batch.num_rows)


def count_before(path: Path, end: str) -> int:
    """Returns how many rows a table has of decisions before an id; one not there has none."""
    if not path.exists():
        return 0
    return int(ds.dataset(path, format="parquet").count_rows(filter=ds.field("decision_id") < end))


def part_of(table: Path, day: str) -> Path:
    """Where the file of a day is."""
    return table / f"day={day}" / "part-0.parquet"


def row_count(path: Path) -> int:
    """Returns how many rows a table has."""
    return int(pq.read_metadata(path).num_rows)


def clean(path: Path, is_kept: Callable[[str], bool]) -> int:
    """Writes a table anew without some decisions; returns how many rows went."""
    with pq.ParquetFile(path) as file:
        before, schema, count = file.metadata.num_rows, file.schema_arrow, 0
        with (
            appearing(path) as scratch,
            pq.ParquetWriter(scratch, schema, compression="zstd") as out,
        ):
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                ids = table.column("decision_id").to_pylist()
                kept = table.filter(pa.array([is_kept(one) for one in ids], pa.bool_()))
                out.write_table(kept)
                count += kept.num_rows
    return int(before - count)
