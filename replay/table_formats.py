"""Parquet and CSV files as checked samples, in bounded memory; pyarrow is known here alone."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final

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
_PACKED: Final[Mapping[bytes, str]] = MappingProxyType(
    {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
)
"""What packed files begin with."""
_EMPTY = "an empty value"

_TEXTS: Final = (pa.types.is_string, pa.types.is_large_string)
_WHOLE: Final = re.compile(r"0|-?[1-9]\d{0,18}", re.ASCII)
"""Zeros in front make another customer."""
_DECIMAL: Final = re.compile(r"-?\d+(\.\d+([eE][+-]?\d+)?|[eE]\+\d+)", re.ASCII)
"""As programs write floats; what has no point and no plus, such as 5e3, may be text."""
_ID_BITS: Final = 64
_INEXACT: Final = 2.0**53
"""From here on not every whole number is a float64."""
_CLUSTER_RULE: Final = "must be a whole number or text, and as a float below 2^53"

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
    with path.open("rb") as file, pyarrow.csv.open_csv(_unpacked(file)) as reader:
        return list(reader.schema.names)


def _unpacked(file: BinaryIO) -> Any:  # noqa: ANN401 - pyarrow ships no types
    """What a file holds, to be read from its beginning; itself if it is not packed."""
    first = file.read(max(map(len, _PACKED)))
    file.seek(0)
    codec = next((codec for magic, codec in _PACKED.items() if first.startswith(magic)), None)
    return pa.CompressedInputStream(file, codec) if codec else file


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
    with path.open("rb") as file:
        content = _unpacked(file)
        with pyarrow.csv.open_csv(content, read_options=reading, convert_options=options) as reader:
            # The reader runs ahead of us: of packed files alone the position is all there is.
            for number, batch in enumerate(reader, start=1):
                read = number * CHUNK_BYTES if content is file else file.tell()
                yield batch, min(read / size, 1.0)


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


def _clusters(name: str, column: Any, first_row: int) -> Ints:  # noqa: ANN401 - as above
    """A column of subjects or loggers as numbers, the same ones whatever holds them.

    Whole numbers are themselves, also as floats or as text; other text is its hash.
    """
    kind = column.type
    if pa.types.is_integer(kind):
        ids: Ints = column.cast(pa.int64(), safe=False).to_numpy(zero_copy_only=False)
        return ids
    if not any(test(kind) for test in (pa.types.is_floating, *_TEXTS)):
        raise ColumnTypeError(name, f"values of type {kind}", "whole numbers or text")
    encoded = (
        column.cast(pa.float64()) if pa.types.is_floating(kind) else column
    ).dictionary_encode()
    each, values = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
    found = [_cluster(value) for value in values]
    if None in found:
        index = int(np.isin(each, [at for at, one in enumerate(found) if one is None]).argmax())
        raise BadValueError(first_row + index, name, values[each[index]], _CLUSTER_RULE)
    clusters: Ints = np.array(found, dtype=np.int64)[each]
    return clusters


def _cluster(value: float | str) -> int | None:
    """The number of a subject; None for a number that is not whole, or too large to be exact."""
    if isinstance(value, str) and _WHOLE.fullmatch(value) and int(value).bit_length() < _ID_BITS:
        return int(value)
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        return _hash(value)
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < _INEXACT else None


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
