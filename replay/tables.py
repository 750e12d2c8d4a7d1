"""Tables of interactions for evaluation: files, or directories of them, read part by part."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from replay.errors import BadTableError, MissingColumnError, SampleError, TableFormatError
from replay.sample import CLUSTERS, NUMBERS, Sample
from replay.table_formats import ARROW_ERRORS, Format, Stretch, format_of

REQUIRED: Final = ("reward", "p_log", "p_target")
"""Columns that every table must have."""
OPTIONAL: Final = tuple(name for name in (*NUMBERS, *CLUSTERS) if name not in REQUIRED)
"""Columns that a table may have; all others are left unread."""

_SUFFIXES: Final = (".parquet", ".csv", ".csv.gz", ".csv.bz2", ".csv.zst")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a table."""

    sample: Sample
    path: Path
    """The file they come from."""
    share: float
    """Share of the whole table read once these rows are, from 0 to 1, by bytes of its files."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a table that any process can read by itself; it travels between them."""

    path: Path
    form: Format
    stretch: Stretch
    columns: tuple[str, ...]
    """Columns to be read."""
    begin: float
    """Share of the whole table before these rows, by bytes of its files."""
    end: float
    """The same, with these rows."""

    def chunks(self) -> Iterator[Chunk]:
        """The rows in order.

        Raises:
            TableError: The file is unreadable, or a row breaks a rule; rows count from 1 in each
                file.
        """
        with blaming(self.path):
            for sample, share in self.form.samples(self.path, self.stretch, self.columns):
                yield Chunk(sample, self.path, self.begin + share * (self.end - self.begin))


@dataclass(frozen=True, slots=True)
class Table:
    """A Parquet or CSV file, or a directory of them, opened for reading."""

    path: Path
    files: tuple["_File", ...]

    @property
    def columns(self) -> frozenset[str]:
        """The columns that every file has."""
        return frozenset.intersection(*(frozenset(file.columns) for file in self.files))

    @property
    def has_subjects(self) -> bool:
        """Whether any file says whose its rows are; then every one has to."""
        return any("subject" in file.columns for file in self.files)

    def parts(self, needed: Mapping[str, str]) -> Iterator[Part]:
        """The table cut into parts, in order, file by file.

        Args:
            needed: For each column that must be there, what needs it. Optional columns of the
                weights' diagnostics are read where every file has them.

        Raises:
            TableError: A file is unreadable, or lacks a column.
        """
        wanted = (*needed, *({"p_unsupported"} & self.columns - set(needed)))
        begin, whole = 0.0, sum(file.size for file in self.files) or 1
        for file in self.files:
            file.check(needed)
            for stretch in file.stretches():
                end = begin + stretch.share * file.size / whole
                yield Part(file.path, file.form, stretch, wanted, begin, end)
                begin = end

    def chunks(self, needed: Mapping[str, str]) -> Iterator[Chunk]:
        """The rows in order, file by file; see `parts`.

        Raises:
            TableError: A file is unreadable, or lacks a column, or a row breaks a rule.
        """
        for part in self.parts(needed):
            yield from part.chunks()


@dataclass(frozen=True, slots=True)
class _File:
    """One file of a table."""

    path: Path
    size: int
    columns: tuple[str, ...]
    form: Format

    def check(self, needed: Mapping[str, str]) -> None:
        """Refuse a file that lacks a needed column, or has it twice."""
        for column, needed_by in needed.items():
            count = self.columns.count(column)
            if count == 0:
                raise BadTableError(self.path, MissingColumnError(column, needed_by, self.columns))
            if count > 1:
                raise TableFormatError(self.path, f"column {column} is there {count} times")

    def stretches(self) -> list[Stretch]:
        """Its rows, cut where they can be read apart."""
        with blaming(self.path):
            return self.form.stretches(self.path)


def open_table(path: Path) -> Table:
    """Open a file, or every Parquet and CSV file under a directory, sorted by path.

    Raises:
        TableFormatError: There is nothing there, or it is neither Parquet nor CSV.
    """
    if not path.exists():
        raise TableFormatError(path, "there is no such file or directory")
    files = _data_files(path) if path.is_dir() else (path,)
    if not files:
        raise TableFormatError(path, f"no file in it ends in {', '.join(_SUFFIXES)}")
    return Table(path, tuple(_open_file(file) for file in files))


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Turn errors of reading and of samples into errors that name the file."""
    try:
        yield
    except SampleError as error:
        raise BadTableError(path, error) from error
    except ARROW_ERRORS as error:
        raise TableFormatError(path, f"it cannot be read: {error}") from error


def _data_files(directory: Path) -> tuple[Path, ...]:
    """Data files below a directory; engines mark their own files by a dot or an underscore."""
    found = (file for file in directory.rglob("*") if file.name.endswith(_SUFFIXES))
    ours = (file for file in found if not file.name.startswith((".", "_")) and file.is_file())
    return tuple(sorted(ours))


def _open_file(path: Path) -> _File:
    with blaming(path):
        form = format_of(path)
        return _File(path, path.stat().st_size, tuple(form.names(path)), form)
