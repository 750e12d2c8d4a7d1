"""Samples read from Parquet and CSV in bounded memory; the one module that imports pyarrow."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from replay.errors import (
    BadTableError,
    BadValueError,
    ColumnTypeError,
    MissingColumnError,
    SampleError,
    TableFormatError,
)
from replay.sample import CLUSTERS, NUMBERS, Ints, Sample
from replay.sums import Floats

REQUIRED: Final = ("reward", "p_log", "p_target")
"""Columns that every table must have."""
OPTIONAL: Final = tuple(name for name in (*NUMBERS, *CLUSTERS) if name not in REQUIRED)
"""Columns that a table may have; all others are left unread."""

CHUNK_ROWS: Final = 2**16
"""Most rows of a Parquet file held at a time."""
CHUNK_BYTES: Final = 2**20
"""Bytes of a CSV file held at a time."""

_SUFFIXES: Final = (".parquet", ".csv")
_PARQUET_MAGIC: Final = b"PAR1"
_EMPTY = "an empty value"

_Batches = Iterator[tuple[Any, float]]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a table."""

    sample: Sample
    path: Path
    """The file they come from."""
    share: float
    """Share of the whole table read once these rows are, from 0 to 1, by bytes of its files."""


@dataclass(frozen=True, slots=True)
class Table:
    """A Parquet or CSV file, or a directory of them, opened for reading."""

    path: Path
    files: tuple["_File", ...]

    @property
    def columns(self) -> frozenset[str]:
        """The columns that every file has."""
        return frozenset.intersection(*(frozenset(file.columns) for file in self.files))

    def chunks(self, needed: Mapping[str, str]) -> Iterator[Chunk]:
        """The rows in order, file by file.

        Args:
            needed: For each column that must be there, what needs it. Optional columns of the
                weights' diagnostics are read where every file has them.

        Raises:
            TableError: A file is unreadable, or lacks a column, or a row breaks a rule; rows count
                from 1 in each file.
        """
        wanted = [*needed, *({"p_unsupported"} & self.columns - set(needed))]
        done, whole = 0, sum(file.size for file in self.files) or 1
        for file in self.files:
            file.check(needed)
            for sample, share in file.samples(wanted):
                yield Chunk(sample, file.path, (done + share * file.size) / whole)
            done += file.size


@dataclass(frozen=True, slots=True)
class _File:
    """One file of a table."""

    path: Path
    size: int
    columns: tuple[str, ...]
    form: "_Format"

    def check(self, needed: Mapping[str, str]) -> None:
        """Refuse a file that lacks a needed column, or has it twice."""
        for column, needed_by in needed.items():
            count = self.columns.count(column)
            if count == 0:
                raise BadTableError(self.path, MissingColumnError(column, needed_by))
            if count > 1:
                raise TableFormatError(self.path, f"column {column} is there {count} times")

    def samples(self, columns: Sequence[str]) -> Iterator[tuple[Sample, float]]:
        """The rows as checked samples, each with the share of the file read by then."""
        row = 1
        with blaming(self.path):
            for batch, share in self.form.batches(self.path, columns):
                yield _sample(batch, row, self.form.numbers), share
                row += batch.num_rows


@dataclass(frozen=True, slots=True)
class _Format:
    """What Parquet and CSV do differently."""

    names: Callable[[Path], list[str]]
    """Reads the names of a file's columns."""
    batches: Callable[[Path, Sequence[str]], _Batches]
    """Reads record batches, each with the share of the file read by then."""
    numbers: Callable[[str, Any, int], Floats]
    """Turns a column into numbers, given its name and the number of its first row."""


def open_table(path: Path) -> Table:
    """Open a file, or every Parquet and CSV file under a directory, sorted by path.

    Raises:
        TableFormatError: There is nothing there, or it is neither Parquet nor CSV.
    """
    if not path.exists():
        raise TableFormatError(path, "there is no such file or directory")
    files = _data_files(path) if path.is_dir() else (path,)
    if not files:
        raise TableFormatError(path, f"no file in it ends in {' or '.join(_SUFFIXES)}")
    return Table(path, tuple(_open_file(file) for file in files))


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Turn errors of reading and of samples into errors that name the file."""
    try:
        yield
    except SampleError as error:
        raise BadTableError(path, error) from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise TableFormatError(path, f"it cannot be read: {error}") from error


def _data_files(directory: Path) -> tuple[Path, ...]:
    """Data files below a directory; engines mark their own files by a dot or an underscore."""
    found = (file for file in directory.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
    return tuple(sorted(file for file in found if not file.name.startswith((".", "_"))))


def _open_file(path: Path) -> _File:
    with blaming(path):
        form = _PARQUET if _starts_with(path, _PARQUET_MAGIC) else _CSV
        return _File(path, path.stat().st_size, tuple(form.names(path)), form)


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _parquet_names(path: Path) -> list[str]:
    return list(pq.read_schema(path).names)


def _csv_names(path: Path) -> list[str]:
    with path.open("rb") as file, pyarrow.csv.open_csv(file) as reader:
        return list(reader.schema.names)


def _parquet_batches(path: Path, columns: Sequence[str]) -> _Batches:
    """Record batches of a Parquet file, page by page rather than whole row groups at once."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        done, whole = 0, file.metadata.num_rows or 1
        for batch in file.iter_batches(CHUNK_ROWS, columns=list(columns), use_threads=False):
            done += batch.num_rows
            yield batch, done / whole


def _csv_batches(path: Path, columns: Sequence[str]) -> _Batches:
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


_PARQUET: Final = _Format(_parquet_names, _parquet_batches, _typed_numbers)
_CSV: Final = _Format(_csv_names, _csv_batches, _parsed_numbers)
