"""Parquet and CSV files as checked samples, in bounded memory; pyarrow is known here alone."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from replay.errors import BadValueError, ColumnTypeError
from replay.sample import CLUSTERS, Ints, Sample
from replay.sums import Floats

CHUNK_ROWS: Final = 2**14
"""Most rows of a Parquet file held at a time: with all estimators, some sixty columns of them."""
CHUNK_BYTES: Final = 2**20
"""Bytes of a CSV file held at a time."""
READ_BYTES: Final = 2**16
"""Bytes of a Parquet file read at a time: else a column of a whole row group is held packed."""
PART_ROWS: Final = 2**20
"""Rows of a Parquet file that make a part, or the row group that is larger."""

ARROW_ERRORS: Final = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What reading a broken file may raise."""

_PARQUET_MAGIC: Final = b"PAR1"
_EMPTY = "an empty value"

_Batches = Iterator[tuple[Any, float]]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of a file that can be read by themselves."""

    row_groups: tuple[int, ...] = ()
    """Row groups of a Parquet file; none stands for a whole file."""
    first_row: int = 1
    """Number of the first of the rows in the file, from 1."""
    share: float = 1.0
    """Share of the file's rows."""


@dataclass(frozen=True, slots=True)
class Format:
    """What Parquet and CSV do differently."""

    names: Callable[[Path], list[str]]
    """Reads the names of a file's columns."""
    stretches: Callable[[Path], list[Stretch]]
    """Cuts a file into stretches, in order."""
    batches: Callable[[Path, Stretch, Sequence[str]], _Batches]
    """Reads record batches, each with the share of the stretch read by then."""
    numbers: Callable[[str, Any, int], Floats]
    """Turns a column into numbers, given its name and the number of its first row."""

    def samples(
        self, path: Path, stretch: Stretch, columns: Sequence[str]
    ) -> Iterator[tuple[Sample, float]]:
        """The rows as checked samples, each with the share of the stretch read by then.

        Raises:
            SampleError: A row breaks a rule.
        """
        row = stretch.first_row
        for batch, share in self.batches(path, stretch, columns):
            yield _sample(batch, row, self.numbers), share
            row += batch.num_rows


def format_of(path: Path) -> Format:
    """The format of a file, by its first bytes."""
    with path.open("rb") as file:
        return PARQUET if file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC else CSV


def _parquet_names(path: Path) -> list[str]:
    return list(pq.read_schema(path).names)


def _csv_names(path: Path) -> list[str]:
    with path.open("rb") as file, pyarrow.csv.open_csv(file) as reader:
        return list(reader.schema.names)


def _parquet_stretches(path: Path) -> list[Stretch]:
    """Row groups, as many together as make a part."""
    counts = _row_counts(path)
    whole, row, rows = sum(counts) or 1, 1, 0
    found: list[Stretch] = []
    groups: tuple[int, ...] = ()
    for group, count in enumerate(counts):
        groups, rows = (*groups, group), rows + count
        if rows >= PART_ROWS or group + 1 == len(counts):
            found.append(Stretch(groups, row, rows / whole))
            groups, row, rows = (), row + rows, 0
    return found or [Stretch()]


def _row_counts(path: Path) -> list[int]:
    metadata = pq.read_metadata(path)
    return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]


def _csv_stretches(_path: Path) -> list[Stretch]:
    """All of it: where a row begins is known only to who has read all before."""
    return [Stretch()]


def _parquet_batches(path: Path, stretch: Stretch, columns: Sequence[str]) -> _Batches:
    """Record batches of row groups, page by page rather than whole groups at once."""
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=READ_BYTES) as file:
        counts = (file.metadata.row_group(group).num_rows for group in stretch.row_groups)
        done, whole = 0, sum(counts) or 1
        for batch in file.iter_batches(
            CHUNK_ROWS, list(stretch.row_groups), list(columns), use_threads=False
        ):
            done += batch.num_rows
            yield batch, done / whole


def _csv_batches(path: Path, _stretch: Stretch, columns: Sequence[str]) -> _Batches:
    """Record batches of a CSV file, as text: we convert it, to name the row of a bad value."""
    options = pyarrow.csv.ConvertOptions(
        include_columns=list(columns),
        column_types=dict.fromkeys(columns, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
    )
    size = path.stat().st_size
    reading = pyarrow.csv.ReadOptions(use_threads=False, block_size=CHUNK_BYTES)
    with (
        path.open("rb") as file,
        pyarrow.csv.open_csv(file, read_options=reading, convert_options=options) as reader,
    ):
        # The reader runs ahead of us, so that the file's own position says nothing.
        for number, batch in enumerate(reader, start=1):
            yield batch, min(number * CHUNK_BYTES / size, 1.0)


def _sample(
    batch: Any,  # noqa: ANN401 - pyarrow ships no types
    first_row: int,
    numbers: Callable[[str, Any, int], Floats],
) -> Sample:
    """A record batch as a sample."""
    columns: dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        _check_filled(name, column, first_row)
        convert = _clusters if name in CLUSTERS else numbers
        columns[name] = convert(name, column, first_row)
    return Sample(**columns, first_row=first_row)


def _typed_numbers(name: str, column: Any, _first_row: int) -> Floats:  # noqa: ANN401 - as above
    """A Parquet column as float64; its type says whether it holds numbers."""
    kind = column.type
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    if not any(test(kind) for test in tests):
        raise ColumnTypeError(name, f"values of type {kind}", "numbers")
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    values: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def _parsed_numbers(name: str, column: Any, first_row: int) -> Floats:  # noqa: ANN401 - as above
    """CSV text as float64; the slow search for the bad value runs only when there is one."""
    trimmed = pc.utf8_trim_whitespace(column)
    try:
        values: Floats = trimmed.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        index, text = next((at, text) for at, text in enumerate(trimmed) if not _is_number(text))
        value = repr(text.as_py())
        raise BadValueError(first_row + index, name, value, "is not a number") from None
    return values


def _is_number(text: Any) -> bool:  # noqa: ANN401 - as above
    try:
        text.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _clusters(name: str, column: Any, _first_row: int) -> Ints:  # noqa: ANN401 - as above
    """A column of subjects or loggers as numbers: whole ones as they are, text by its hash."""
    if pa.types.is_integer(column.type):
        ids: Ints = column.cast(pa.int64(), safe=False).to_numpy(zero_copy_only=False)
        return ids
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ColumnTypeError(name, f"values of type {column.type}", "whole numbers or text")
    encoded = column.dictionary_encode()
    hashes = np.array([_hash(text) for text in encoded.dictionary.to_pylist()], dtype=np.int64)
    clusters: Ints = hashes[encoded.indices.to_numpy()]
    return clusters


def _hash(text: str) -> int:
    """A cluster id of 64 bits: among a billion subjects two meet with a chance of 3%."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _check_filled(name: str, column: Any, first_row: int) -> None:  # noqa: ANN401 - as above
    if column.null_count:
        index = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise BadValueError(first_row + index, name, _EMPTY, "is not allowed")


PARQUET: Final = Format(_parquet_names, _parquet_stretches, _parquet_batches, _typed_numbers)
CSV: Final = Format(_csv_names, _csv_stretches, _csv_batches, _parsed_numbers)
