"""A log is checked to its last row: whatever is spoiled is found, and all else is read."""

import random
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from decisionlog import Contact, DecisionLog, Proposal
from decisionlog.checking import Checked, Finding, check, check_beginning, rows_to_read
from decisionlog.codec import encode_decision, encode_request
from decisionlog.contact_codec import encode_reservation, encode_standing
from decisionlog.contacts import Reservation, Standing
from decisionlog.errors import LogMissing
from decisionlog.key_ring import KeyRing
from decisionlog.pages import PageFile, PageRow
from decisionlog.store import WriteTransaction
from decisionlog.tables import Table
from tests.decisionlog.samples import DECISION, KEYS, MAP_SIZE_BYTES, REWARD
from tests.decisionlog.test_encryption import OLD

COUNT = 200
PAGE_BYTES = 4096
LEAF = 2


def decision_id(number: int) -> bytes:
    """An id; they sort by number."""
    return (number + 1).to_bytes(16, "big")


LARGE = replace(DECISION, decision_id=decision_id(COUNT + 7), features={"text": "x" * 20_000})


def open_log(directory: Path, *, read_only: bool = False, is_sealed: bool = False) -> DecisionLog:
    """Open a log, encrypted or not."""
    ring = KeyRing((OLD,)) if is_sealed else KeyRing()
    return DecisionLog.open(
        directory,
        keys=KEYS,
        read_only=read_only,
        map_size_bytes=MAP_SIZE_BYTES,
        key_ring=lambda: ring,
    )


def fill(log: DecisionLog) -> None:
    """Store decisions with contacts and rewards, and one that takes pages of its own."""
    for start in range(0, COUNT, 50):
        ids = [decision_id(number) for number in range(start, start + 50)]
        log.record(
            [
                Proposal(
                    replace(DECISION, decision_id=each, subject=bytes([each[-1] % 7]) * 16),
                    KEYS.request_key(each.hex()),
                    Contact(each, "mens", "email", 1_000 + each[-1]),
                )
                for each in ids
            ]
        )
        log.report_rewards([replace(REWARD, decision_id=each) for each in ids])
    log.record([Proposal(LARGE)])


@pytest.fixture(params=[False, True], ids=["plain", "sealed"])
def directory(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A log with a row or more in most tables."""
    directory = tmp_path / ("sealed" if request.param else "plain")
    with open_log(directory, is_sealed=request.param) as log:
        fill(log)
    return directory


def checked(directory: Path) -> tuple[Checked, list[Finding]]:
    """What checking a log finds."""
    findings: list[Finding] = []
    with open_log(directory, read_only=True, is_sealed=directory.name == "sealed") as log:
        return check(log.store, findings.append), findings


def test_a_sound_log_is_sound(directory: Path) -> None:
    """Every row of every table is looked at, none is wrong, and progress ends where it should."""
    assert check_beginning(directory) == []
    found, findings = checked(directory)
    assert (findings, found.references) == ([], True)
    assert found.rows[Table.DECISIONS] == COUNT + 1
    assert found.rows[Table.REWARDS] == found.rows[Table.CONTACTS] == COUNT
    with open_log(directory, read_only=True, is_sealed=directory.name == "sealed") as log:
        seen: list[int] = []
        check(log.store, findings.append, seen.append)
        assert sum(seen) == rows_to_read(log.store)


@pytest.mark.parametrize("seed", range(2))
def test_every_spoiled_record_is_named(directory: Path, seed: int) -> None:
    """One byte each of many records in the file is changed: these are found, and no others."""
    draw = random.Random(seed)  # noqa: S311 - a test, not a secret
    path = directory / "log" / "data.mdb"
    content = bytearray(path.read_bytes())
    chosen = set()
    file = PageFile(path)
    tables, _ = file.tables(file.main_tree())
    for table in (Table.DECISIONS, Table.REWARDS, Table.STANDINGS, Table.REQUESTS):
        rows = [row for row in file.walk(tables[table], b"") if isinstance(row, PageRow)]
        for key, value in draw.sample(rows, 5):
            if len(value) > PAGE_BYTES // 2:
                continue
            while (at := content.find(value)) >= 0:  # also where an older page still holds it
                content[at + draw.randrange(1, len(value))] ^= 1 << draw.randrange(8)
            chosen.add((table, key))
    file.close()
    path.write_bytes(content)
    found, findings = checked(directory)
    own = {(each.table, each.key) for each in findings if "is missing" not in each.problem}
    assert own == chosen
    assert found.rows[Table.DECISIONS] == COUNT + 1


def _zeros(_: random.Random, _page: int, _content: bytearray) -> bytes:
    return bytes(PAGE_BYTES)


def _noise(draw: random.Random, _page: int, _: bytearray) -> bytes:
    return draw.randbytes(PAGE_BYTES)


def _another(draw: random.Random, page: int, content: bytearray) -> bytes:
    other = page + draw.choice([-2, -1, 1])
    return bytes(content[other * PAGE_BYTES : (other + 1) * PAGE_BYTES])


@pytest.mark.parametrize("overwrite", [_zeros, _noise, _another])
@pytest.mark.parametrize("seed", range(2))
def test_an_overwritten_page_is_found_and_all_others_are_read(
    directory: Path, seed: int, overwrite: Callable[[random.Random, int, bytearray], bytes]
) -> None:
    """Pages of decisions are lost with what they held: which keys that is, is told to the key."""
    draw = random.Random(seed)  # noqa: S311 - a test, not a secret
    path = directory / "log" / "data.mdb"
    content = bytearray(path.read_bytes())
    before, leaves = _keys_and_pages(path, Table.DECISIONS)
    for page in draw.sample(leaves, 2):
        content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = overwrite(draw, page, content)
    path.write_bytes(content)
    assert check_beginning(directory) == []
    found, findings = checked(directory)
    assert 1 <= len(findings) <= 2
    assert {each.table for each in findings} == {Table.DECISIONS}
    assert not found.references
    lost = [key for key in before if any(_is_within(key, each) for each in findings)]
    assert found.rows[Table.DECISIONS] == len(before) - len(lost) < len(before)


def _is_within(key: bytes, finding: Finding) -> bool:
    low, _, high = finding.problem.rpartition("readable from this key up to ")
    return finding.key <= key and (high == "the end" or key < bytes.fromhex(high)) and bool(low)


@pytest.mark.parametrize("is_upper", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_a_torn_page_is_found(directory: Path, seed: int, is_upper: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Of a page half of which was never written, what is lost is named; all else is read."""
    draw = random.Random(seed)  # noqa: S311 - a test, not a secret
    path = directory / "log" / "data.mdb"
    content = bytearray(path.read_bytes())
    before, leaves = _keys_and_pages(path, Table.DECISIONS)
    start = draw.choice(leaves) * PAGE_BYTES + is_upper * PAGE_BYTES // 2
    content[start : start + PAGE_BYTES // 2] = bytes(PAGE_BYTES // 2)
    path.write_bytes(content)
    found, findings = checked(directory)
    spoiled = [each for each in findings if "readable from this key up to" not in each.problem]
    lost = [key for key in before if any(_is_within(key, each) for each in findings)]
    assert findings
    assert {each.table for each in findings if each not in spoiled} <= {Table.DECISIONS}
    assert {each.key for each in spoiled if each.table == Table.DECISIONS} <= set(before)
    assert found.rows[Table.DECISIONS] == len(before) - len(lost)


class _Seen(PageFile):
    """Remembers the pages of rows that it reads."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.leaves: list[int] = []

    def _page(self, number: int, kind: int) -> bytes:
        if kind == LEAF:
            self.leaves.append(number)
        return super()._page(number, kind)


def _keys_and_pages(path: Path, table: Table) -> tuple[list[bytes], list[int]]:
    """The keys of a table, and the pages that hold them."""
    file = _Seen(path)
    tables, _ = file.tables(file.main_tree())
    file.leaves.clear()
    keys = [row.key for row in file.walk(tables[table], b"") if isinstance(row, PageRow)]
    file.close()
    return keys, file.leaves


def test_an_overwritten_list_of_free_pages_is_found(directory: Path) -> None:
    """All rows can be read without it, but nothing can be written any more."""
    path = directory / "log" / "data.mdb"
    pages = PageFile(path)
    root = pages.trees().free.root
    pages.close()
    with path.open("r+b") as file:
        file.seek(root * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES))
    found, findings = checked(directory)
    (finding,) = findings
    assert (finding.table, finding.key) == ("", b"")
    assert finding.problem.startswith("list of free pages: ")
    assert not found.references


def test_rows_that_a_page_no_longer_tells_of_are_missed(directory: Path) -> None:
    """A page that lost its last rows is sound in itself; its table knows how many there were."""
    path = directory / "log" / "data.mdb"
    rows, leaves = _keys_and_pages(path, Table.REWARDS)
    with path.open("r+b") as file:
        at = leaves[0] * PAGE_BYTES + 12  # where the list of its rows ends
        file.seek(at)
        (end,) = struct.unpack("<H", file.read(2))
        file.seek(at)
        file.write(struct.pack("<H", end - 2 * 3))
    found, findings = checked(directory)
    assert found.rows[Table.REWARDS] == len(rows) - 3
    (finding,) = findings
    assert finding == Finding(Table.REWARDS, b"", f"{len(rows) - 3} rows are there of {len(rows)}")


def test_a_log_whose_beginning_is_gone_is_told_so(directory: Path) -> None:
    """Without its first two pages nothing can be found; nothing is opened."""
    path = directory / "log" / "data.mdb"
    with path.open("r+b") as file:
        file.write(bytes(2 * PAGE_BYTES))
    (finding,) = check_beginning(directory)
    assert "page 0 is not the beginning of a log" in finding.problem


def test_a_file_that_was_cut_off_is_told_so(directory: Path) -> None:
    """What lies beyond the end is named; what is left of the file is read."""
    path = directory / "log" / "data.mdb"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 // PAGE_BYTES * PAGE_BYTES)
    findings = check_beginning(directory)
    if not findings:
        findings = checked(directory)[1]
    assert any("beyond the end of the file" in each.problem for each in findings)


def test_no_log_is_no_damage(tmp_path: Path) -> None:
    """A directory without a log is told as that."""
    with pytest.raises(LogMissing):
        check_beginning(tmp_path)


def _lose_decision(transaction: WriteTransaction) -> None:
    transaction.delete(Table.DECISIONS, decision_id(3))


def _lose_reservation(transaction: WriteTransaction) -> None:
    transaction.delete(Table.CONTACTS, decision_id(3))


def _lose_standing(transaction: WriteTransaction) -> None:
    transaction.delete(Table.STANDINGS, bytes([4]) * 16)


def _change_subject(transaction: WriteTransaction) -> None:
    changed = replace(DECISION, decision_id=decision_id(3), subject=b"?" * 16)
    transaction.put(Table.DECISIONS, changed.decision_id, encode_decision(changed))


def _count_what_is_not(transaction: WriteTransaction) -> None:
    ghost = Contact(decision_id(COUNT + 9), "mens", "email", 5)
    subject = b"g" * 16
    transaction.put(Table.STANDINGS, subject, encode_standing(subject, Standing((ghost,))))


def _answer_with_nothing(transaction: WriteTransaction) -> None:
    transaction.put(Table.REQUESTS, b"r" * 16, encode_request(b"n" * 16, b"d" * 16))


def _move(transaction: WriteTransaction) -> None:
    moved = Reservation(decision_id(5), bytes([6]) * 16, None)
    transaction.put(Table.CONTACTS, decision_id(4), encode_reservation(moved))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_lose_decision, {(Table.REQUESTS, "is missing"), (Table.CONTACTS, "is missing")}),
        (_lose_reservation, {(Table.STANDINGS, "is missing")}),
        (_lose_standing, {(Table.CONTACTS, "does not count for its subject")}),
        (_change_subject, {(Table.CONTACTS, "its subject is not that of its decision")}),
        (_count_what_is_not, {(Table.STANDINGS, "is missing")}),
        (_answer_with_nothing, {(Table.REQUESTS, "is missing")}),
        (_move, {(Table.CONTACTS, "it belongs to another key")}),
    ],
)
def test_rows_that_contradict_each_other_are_found(
    directory: Path,
    spoil: Callable[[WriteTransaction], None],
    expected: set[tuple[Table, str]],
) -> None:
    """Each is sound by itself, and what it refers to is missing or says otherwise."""
    with (
        open_log(directory, is_sealed=directory.name == "sealed") as log,
        log.store.write() as transaction,
    ):
        spoil(transaction)
    _, findings = checked(directory)
    assert findings
    for each in findings:
        assert any(each.table == table and words in each.problem for table, words in expected)
    assert {each.table for each in findings} == {table for table, _ in expected}


def test_a_log_that_is_written_to_is_checked_all_the_same(tmp_path: Path) -> None:
    """Rows that come while it is read are no damage."""
    with open_log(tmp_path) as log:
        fill(log)
        more = iter(range(COUNT, 4 * COUNT))

        def write(_: int) -> None:
            each = decision_id(next(more))
            log.record([Proposal(replace(DECISION, decision_id=each), each)])

        findings: list[Finding] = []
        found = check(log.store, findings.append, write)
        assert findings == []
        assert found.references
