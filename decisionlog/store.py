"""The tables on disk: the one module that knows LMDB and what its errors mean.

One environment for each data directory. Several processes may have it open; each opens it once.
LMDB syncs every commit to disk, so what `write` has left is durable. Fault model: a crash at any
moment leaves the last commit; a broken disk can break the file, which is reported, not repaired.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext, suppress
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Final, Self

import lmdb

from decisionlog.cursors import Cursor, NoRows, OpeningCursor
from decisionlog.encryption import Sealer
from decisionlog.errors import (
    DecisionLogError,
    LogClosed,
    LogDamaged,
    LogFull,
    LogMissing,
    LogReadOnly,
    LogUnavailable,
)
from decisionlog.full_disks import is_no_room
from decisionlog.readers import set_aside
from decisionlog.record_keys import is_encrypted, sealing_key
from decisionlog.tables import ADDED_LATER, BY_DECISION, Table

DEFAULT_MAP_SIZE_BYTES: Final = 256 * 1024**3
"""The file is sparse and grows only with its content; a map that grew later, under several
writers, would be a risk."""

DATA_FILE: Final = "data.mdb"
"""Name of LMDB's file in the directory of a log."""

_GLANCE_SECONDS: Final = 0.1
_ENGINE: Final = 0  # LMDB 0.9
_MAX_TABLES: Final = 32
_MAX_READERS: Final = 1024
_BLOCK_ROWS: Final = 512
_BLOCK_BYTES: Final = 2**20
_FIRST_ROWS: Final = 16  # of a block before it is known how large rows are
_SPARE_TRANSACTIONS: Final = 16
_DIRECTORY_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_DAMAGE: Final = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError)
_EXPLANATIONS: Final = {
    lmdb.MapResizedError: "another process gave it a larger map; open it again with that size",
    lmdb.ReadersFullError: f"more than {_MAX_READERS} readers have it open; stop some",
    lmdb.PanicError: "a write failed half-way; open it again",
}


class ReadTransaction:
    """One moment of the log. Keep it short: a long one bloats the file for ever.

    Values come in their plain form, whether they are encrypted on disk or not.
    """

    def __init__(self, store: "Store", transaction: "lmdb.Transaction[bytes]") -> None:
        self._store = store
        self._transaction = transaction
        self._tables = store.tables  # one that an older log lacks is not among them

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the value of a key, None if there is none."""
        stored = self.stored(table, key)
        return None if stored is None else self._store.sealer.open(table, key, stored)

    def get_all(self, table: Table, keys: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        """Return the keys that are there, in order, with their values."""
        if table not in self._tables:
            return []
        cursor = self._transaction.cursor(self._tables[table])
        found = cursor.getmulti(sorted(set(keys)))
        return [(key, self._store.sealer.open(table, key, stored)) for key, stored in found]

    def stored(self, table: Table, key: bytes) -> bytes | None:
        """Return what lies on disk for a key, encrypted or not; None if there is nothing."""
        try:
            return self._transaction.get(key, db=self._tables[table])
        except KeyError:
            return None
        except lmdb.Error as error:
            raise self._store.translation(error) from error

    def cursor(self, table: Table) -> Cursor:
        """Return a cursor that lives as long as this transaction."""
        cursor = self.stored_cursor(table)
        # Where no row is encrypted at this moment, there is nothing to open.
        return OpeningCursor(cursor, table, self._store.sealer) if is_encrypted(self) else cursor

    def stored_cursor(self, table: Table) -> Cursor:
        """Return a cursor over what lies on disk, encrypted or not."""
        if table not in self._tables:
            return NoRows()
        return self._transaction.cursor(self._tables[table])

    def blocks(
        self, table: Table, start: bytes, until: bytes | None, limit: int
    ) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield the keys and values of a stretch of a table, in the order of the keys.

        Blocks are of hundreds of rows, or of about a MiB where rows are large: as the last one of
        the block before was, since to look at each would take a tenth of the time.

        Args:
            table: Where to read.
            start: The first key.
            until: The first key that is left out; None: up to the end.
            limit: The most rows.
        """
        if table not in self._tables:
            return
        cursor = self._transaction.cursor(self._tables[table])
        rest = cursor.iternext() if cursor.set_range(start) else iter(())
        is_plain = not is_encrypted(self)
        is_last, rows = False, _FIRST_ROWS
        while not is_last:
            block = list(islice(rest, min(rows, limit)))
            limit -= len(block)
            is_last = not block or limit == 0
            # Looking at each key would take as long as reading: what is read too much is cut off.
            if until is not None and block and block[-1][0] >= until:
                del block[bisect_left(block, until, key=itemgetter(0)) :]
                is_last = True
            if block:
                rows = min(_BLOCK_BYTES // (len(block[-1][1]) + 1) + 1, _BLOCK_ROWS)
                yield block if is_plain else self._opened(table, block)

    def _opened(self, table: Table, rows: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        return [(key, self._store.sealer.open(table, key, stored)) for key, stored in rows]

    def count(self, table: Table) -> int:
        """Return the number of rows."""
        if table not in self._tables:
            return 0
        return self._transaction.stat(self._tables[table])["entries"]

    @property
    def moment(self) -> int:
        """Number of the transaction that wrote what is seen here."""
        number: int = self._transaction.id()
        return number

    def used_bytes(self) -> int:
        """Return how much of the file is in use; what was freed waits in it to be used again."""
        stats = [self._transaction.stat(database) for database in self._tables.values()]
        return sum(
            each["psize"] * (each["branch_pages"] + each["leaf_pages"] + each["overflow_pages"])
            for each in stats
        )


class WriteTransaction(ReadTransaction):
    """The only writer of the log, in all processes, while it lasts. It never changes threads."""

    def __init__(self, store: "Store", transaction: "lmdb.Transaction[bytes]") -> None:
        super().__init__(store, transaction)
        self._lasts: dict[Table, bytes] = {}

    def open_table(
        self, environment: lmdb.Environment, table: Table, *, create: bool
    ) -> "lmdb._Database":
        """Return the handle of a table; only the store needs it."""
        return environment.open_db(table.encode(), txn=self._transaction, create=create)

    def newest(self) -> bytes:
        """Return the greatest key of all tables in `BY_DECISION`; empty if they are."""
        return max(map(self._last, BY_DECISION))

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """Store a value, in the place of an earlier one if there is one."""
        self._lasts.pop(table, None)
        stored = self._store.sealer.seal(table, key, value)
        self._transaction.put(key, stored, db=self._tables[table])

    def put_all(self, table: Table, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Store values, in the place of earlier ones if there are any.

        Args:
            table: Where.
            rows: Keys and values, each key once.
        """
        ordered = self._store.sealer.seal_all(table, sorted(rows))
        last = self._last(table)
        # Appending fills pages that would otherwise split in half; it takes only what comes last.
        place = bisect_right(ordered, last, key=itemgetter(0))
        cursor = self._transaction.cursor(self._tables[table])
        if place:
            cursor.putmulti(ordered[:place])
        if place < len(ordered):
            _, added = cursor.putmulti(ordered[place:], append=True)
            if added != len(ordered) - place:  # LMDB leaves out what is not in order, and says so
                raise ValueError(f"{len(ordered) - place} rows were to be added, not {added}")
            self._lasts[table] = ordered[-1][0]

    def delete(self, table: Table, key: bytes) -> bool:
        """Remove a row; tell whether there was one."""
        self._lasts.pop(table, None)
        return self._transaction.delete(key, db=self._tables[table])

    def _last(self, table: Table) -> bytes:
        """Return the last key of a table; it is empty if there is none."""
        if table not in self._lasts:
            cursor = self._transaction.cursor(self._tables[table])
            self._lasts[table] = cursor.key() if cursor.last() else b""
        return self._lasts[table]


class Store:
    """The environment of one data directory."""

    def __init__(
        self,
        directory: Path,
        *,
        read_only: bool = False,
        map_size_bytes: int | None = None,
        sealer: Sealer | None = None,
    ) -> None:
        """Open the environment, and make it if it is to be written.

        Args:
            directory: The data directory; the files lie in its `log`.
            read_only: Never write; the log must exist.
            map_size_bytes: The most that the file can hold; None: what it could until now, or
                `DEFAULT_MAP_SIZE_BYTES` for a new one. Readers take the writer's.
            sealer: Encrypts and decrypts; None for a log that is not encrypted.

        Raises:
            LogMissing: There is none to read.
            LogDamaged: The file is none of LMDB's.
            LogUnavailable: The operating system refuses it, or this process has it open already.
        """
        self.directory = directory
        self.read_only = read_only
        self.sealer = sealer or Sealer()
        self._path = directory / "log"
        self._closed = False
        self.tables: dict[Table, lmdb._Database] = {}
        with self._translated():
            self._environment = self._open(map_size_bytes)
        if not read_only:
            self.forget_killed_readers()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the environment; transactions in it must have ended."""
        self._closed = True
        self._environment.close()

    def forget_killed_readers(self) -> None:
        """Free what killed readers held: else no page is used again, and the file grows."""
        with self._translated():
            self._environment.reader_check()

    @property
    def file(self) -> Path:
        """The file that holds all tables."""
        return self._path / DATA_FILE

    def file_bytes(self) -> int:
        """Return how large the file has become; it never shrinks."""
        with self._translated():
            pages: int = self._environment.info()["last_pgno"] + 1
            return pages * self._environment.stat()["psize"]

    def copy_to(self, directory: Path, on_progress: Callable[[int], None]) -> None:
        """Write a compacted copy of this moment of the log, while others go on writing.

        What is freed meanwhile is used again only afterwards: the file may grow.

        Args:
            directory: Empty; gets the file.
            on_progress: Told of the bytes written since it was last told.
        """
        with ThreadPoolExecutor(1) as pool, self._translated():
            copying = pool.submit(self._environment.copy, str(directory), compact=True)
            seen = 0
            while not copying.done():
                wait([copying], timeout=_GLANCE_SECONDS)
                size = sum(path.stat().st_size for path in directory.glob(DATA_FILE))
                on_progress(size - seen)
                seen = size
            copying.result()

    @contextmanager
    def read(self) -> Iterator[ReadTransaction]:
        """Hold one moment of the log.

        Raises:
            DecisionLogError: For any error of LMDB within, see `LogUnavailable` and its like.
        """
        with self._translated(), self._environment.begin() as transaction:
            yield ReadTransaction(self, transaction)

    @contextmanager
    def write(self) -> Iterator[WriteTransaction]:
        """Be the only writer; commit to disk at the end, or undo everything if anything is raised.

        Raises:
            LogReadOnly: This store only reads.
            LogFull: There is no room left on the disk or in the map.
            RecordKeyMissing: The log is encrypted under a key that is not at hand.
            DecisionLogError: For any other error of LMDB.
        """
        if self.read_only:
            raise LogReadOnly(self.directory)
        with self._translated(), self._environment.begin(write=True) as transaction:
            writing = WriteTransaction(self, transaction)
            # The log says which key seals, so that all processes change it at the same moment.
            self.sealer.use(sealing_key(writing))
            yield writing

    def open_tables(self, transaction: WriteTransaction | None = None) -> None:
        """Open all tables.

        Args:
            transaction: Makes the tables that are missing; None where this store only reads,
                and then no transaction may be open, and tables that an older log lacks are empty.

        Raises:
            LogMissing: A table is missing and cannot be made.
        """
        for table in Table:
            if transaction is None and table in ADDED_LATER:
                self.has_table(table)
            else:
                self.tables[table] = self._open_table(transaction, table, create=True)

    def has_table(self, table: Table, transaction: WriteTransaction | None = None) -> bool:
        """Tell whether a table exists, and open it if so; see `open_tables`."""
        try:
            self.tables[table] = self._open_table(transaction, table, create=False)
        except LogMissing:
            return False
        return True

    def _open_table(
        self, transaction: WriteTransaction | None, table: Table, *, create: bool
    ) -> "lmdb._Database":
        try:
            if transaction is not None:
                return transaction.open_table(self._environment, table, create=create)
            # LMDB forgets a handle that was opened in a reader's transaction.
            return self._environment.open_db(table.encode(), create=False)
        except (lmdb.NotFoundError, lmdb.ReadonlyError) as error:
            raise LogMissing(self.directory) from error
        except lmdb.Error as error:
            raise self.translation(error) from error

    def _open(self, map_size_bytes: int | None) -> lmdb.Environment:
        is_there = self.file.exists()
        if self.read_only and not is_there:
            raise LogMissing(self.directory)
        if not self.read_only:
            self._path.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        with suppress(OSError) if self.read_only else nullcontext():
            set_aside(self._path, _MAX_READERS)
        # LMDB keeps the size in the file, and takes it from there for 0. A larger one than that of
        # others could let the file grow beyond what they have mapped.
        usual = 0 if is_there else DEFAULT_MAP_SIZE_BYTES
        return lmdb.open(
            str(self._path),
            map_size=0 if self.read_only else map_size_bytes or usual,
            readonly=self.read_only,
            create=not self.read_only,
            mode=_FILE_MODE,
            max_dbs=_MAX_TABLES,
            max_readers=_MAX_READERS,
            max_spare_txns=_SPARE_TRANSACTIONS,
            lib_version=_ENGINE,
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except lmdb.Error as error:
            raise self.translation(error) from error
        except OSError as error:
            raise LogUnavailable(self.directory, str(error)) from error

    def translation(self, error: lmdb.Error) -> DecisionLogError:
        """Say what an error of LMDB means for this log."""
        if self._closed:
            return LogClosed(self.directory)
        if isinstance(error, lmdb.MapFullError):
            return LogFull(self.directory, "its map is full")
        if is_no_room(error.code, self._path):
            return LogFull(self.directory, "its disk is full")
        if isinstance(error, _DAMAGE):
            return LogDamaged(self.directory, str(error))
        return LogUnavailable(self.directory, _EXPLANATIONS.get(type(error), str(error)))
