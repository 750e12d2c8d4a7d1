"""Reads every row of every table and says what is wrong with each, without stopping at the first.

First the pages of the file and the rows in them, each for itself: pages, checksums or seals,
decoding, keys. Then, if no page is damaged, what rows say of each other, see `references`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from decisionlog.codec import decode_decision, decode_delivery, decode_request, decode_reward
from decisionlog.contact_codec import (
    decode_audit,
    decode_budget_row,
    decode_reservation,
    decode_standing,
)
from decisionlog.errors import DamagedRecord, LogMissing, LogUnavailable
from decisionlog.pages import (
    NO_ROWS,
    DamagedPage,
    PageError,
    PageFile,
    PageRow,
    Tree,
    Trees,
)
from decisionlog.references import contradictions
from decisionlog.sealing import unseal
from decisionlog.store import DATA_FILE, Store
from decisionlog.tables import Table
from decisionlog.tombstones import decode_tombstone

SLICE_ROWS: Final = 1_000
TRIES: Final = 10
"""So often a moment is looked for again that others have overwritten meanwhile."""

OnProgress = Callable[[int], None]
"""Called with the rows looked at since the last call, of `rows_to_read`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong."""

    table: str
    """Empty where it concerns the file as a whole."""
    key: bytes
    """Of the row; for a page the lowest key that it can have held."""
    problem: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked at."""

    rows: Mapping[Table, int]
    """Rows that could be read from their pages, by table."""
    references: bool
    """Whether it was checked what rows say of each other: not where pages are damaged."""


OnFinding = Callable[[Finding], None]

_DECODERS: Final[Mapping[Table, Callable[[bytes, bytes], object]]] = {
    Table.META: lambda key, value: unseal(Table.META, key, value),
    Table.DECISIONS: decode_decision,
    Table.DELIVERIES: decode_delivery,
    Table.REWARDS: decode_reward,
    Table.REQUESTS: decode_request,
    Table.CONTACTS: decode_reservation,
    Table.STANDINGS: decode_standing,
    Table.BUDGETS: decode_budget_row,
    Table.AUDIT: decode_audit,
    Table.TOMBSTONES: decode_tombstone,
    Table.ERASED: lambda key, value: unseal(Table.ERASED, key, value),
}


def rows_to_read(store: Store) -> int:
    """Return how many rows `check` looks at, each of them twice."""
    with store.read() as transaction:
        return 2 * sum(transaction.count(table) for table in Table)


def check(store: Store, on_finding: OnFinding, on_progress: OnProgress | None = None) -> Checked:
    """Check a log; others may go on writing to it.

    Args:
        store: Where to read.
        on_finding: Told of all that is wrong, one by one.
        on_progress: See `OnProgress`.
    """
    advance = on_progress or (lambda _: None)
    rows: dict[Table, int] = {}
    file = PageFile(store.file)
    try:
        has_damaged_pages = _check_free_pages(store, file, on_finding)
        for table in Table:
            counted = _check_table(store, file, table, on_finding, advance)
            rows[table] = counted.rows
            has_damaged_pages |= counted.has_damaged_pages
    finally:
        file.close()
    if not has_damaged_pages:
        for table, key, problem in contradictions(store, advance):
            on_finding(Finding(table, key, problem))
    return Checked(rows, references=not has_damaged_pages)


class _Counted(NamedTuple):
    rows: int
    has_damaged_pages: bool


def _check_table(
    store: Store, file: PageFile, table: Table, on_finding: OnFinding, advance: OnProgress
) -> _Counted:
    rows, has_damaged_pages, moments = 0, False, set()
    for part in _slices(store, file, partial(_table_tree, file, table)):
        found = [each for each in part.found if isinstance(each, PageRow)]
        damaged = [each for each in part.found if isinstance(each, DamagedPage)]
        _check_rows(store, table, found, on_finding)
        for page in damaged:
            on_finding(Finding(table, page.low, _page_problem(page)))
        rows += len(found)
        has_damaged_pages |= bool(damaged)
        moments.add((part.moment, part.tree.entries))
        advance(len(found))
    (_, entries), *others = moments
    # Where others write meanwhile, no one moment was counted.
    if not others and not has_damaged_pages and rows != entries:
        on_finding(Finding(table, b"", f"{rows:,} rows are there of {entries:,}"))
    return _Counted(rows, has_damaged_pages)


def _check_free_pages(store: Store, file: PageFile, on_finding: OnFinding) -> bool:
    """Look at the lists of free pages; tell whether one is damaged: then nothing can be written."""
    has_damaged_pages = False
    for part in _slices(store, file, lambda trees: trees.free):
        for each in part.found:
            if isinstance(each, DamagedPage):
                has_damaged_pages = True
                on_finding(Finding("", b"", f"list of free pages: {each.problem}"))
    return has_damaged_pages


def _table_tree(file: PageFile, table: Table, trees: Trees) -> Tree:
    tables, _ = file.tables(trees.main)
    return tables.get(table, NO_ROWS)


def check_beginning(directory: Path) -> list[Finding]:
    """Check what opening a log needs: LMDB may end the process where it is damaged.

    Args:
        directory: The data directory; it has a log.

    Returns:
        What is wrong with the file's first pages, the list of tables and the log's own notes.

    Raises:
        LogMissing: There is none.
    """
    path = directory / "log" / DATA_FILE
    if not path.exists():
        raise LogMissing(directory)
    file = PageFile(path)
    try:
        for _ in range(TRIES):  # others may write while it is read
            found = _beginning(file)
            if not found:
                break
        return found
    finally:
        file.close()


def _beginning(file: PageFile) -> list[Finding]:
    try:
        tables, damaged = file.tables(file.main_tree())
        notes = file.walk(tables[Table.META], b"") if Table.META in tables else iter(())
        damaged += [each for each in notes if isinstance(each, DamagedPage)]
    except PageError as error:
        return [Finding("", b"", str(error))]
    return [Finding("", each.low, _page_problem(each)) for each in damaged]


def _check_rows(store: Store, table: Table, rows: list[PageRow], on_finding: OnFinding) -> None:
    decode, unlock = _DECODERS[table], store.sealer.open
    for key, value in rows:
        try:
            decode(key, unlock(table, key, value))
        except DamagedRecord as damage:
            on_finding(Finding(table, key, damage.problem))


class _Slice(NamedTuple):
    """What the pages of a tree hold from a key on, at one moment."""

    moment: int
    tree: Tree
    found: list[PageRow | DamagedPage]


def _slices(store: Store, file: PageFile, choose: Callable[[Trees], Tree]) -> Iterator[_Slice]:
    """Yield what the pages of a tree hold, in bounded slices of one moment each."""
    start: bytes | None = b""
    while start is not None:
        part = _slice(store, file, choose, start)
        yield part
        start = _after(part.found[-1]) if len(part.found) == SLICE_ROWS else None


def _slice(store: Store, file: PageFile, choose: Callable[[Trees], Tree], start: bytes) -> _Slice:
    for _ in range(TRIES):
        with store.read() as transaction:
            try:
                trees = file.trees(transaction.moment)
            except PageError:
                continue  # two commits have come since
            tree = choose(trees)
            found = list(islice(file.walk(tree, start), SLICE_ROWS))
            return _Slice(transaction.moment, tree, found)
    raise LogUnavailable(store.directory, "it is written to so fast that no moment can be read")


def _after(last: PageRow | DamagedPage) -> bytes | None:
    return last.high if isinstance(last, DamagedPage) else last.key + b"\0"


def _page_problem(page: DamagedPage) -> str:
    until = "the end" if page.high is None else page.high.hex()
    return f"{page.problem}: nothing is readable from this key up to {until}"
