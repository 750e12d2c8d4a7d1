"""Walks the pages of the log's file without LMDB, which ends the process at some damaged pages.

Every page is checked before it is believed: its number, its kind, where its rows lie, the order of
their keys. What a damaged page held is told by the keys between which it stood; all other pages are
read. Layout of LMDB 0.9 (`mdb.c`: MDB_page, MDB_node, MDB_db, MDB_meta), little-endian, 64 bits.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

PAGE_BYTES_MIN: Final = 512
PAGE_BYTES_MAX: Final = 65_536
DEPTH_MAX: Final = 32

_PAGE: Final = struct.Struct("<QHHHH")  # number, pad, flags, lower, upper
_NODE: Final = struct.Struct("<HHHH")  # low and high half of a size or page, flags, size of the key
_META: Final = struct.Struct("<IIQQ")  # magic, version, address, size of the map
_TREE: Final = struct.Struct("<IHHQQQQQ")  # page size, flags, depth, pages by kind, entries, root
_LAST: Final = struct.Struct("<QQ")  # last page, transaction
_OVERFLOW_PAGES: Final = struct.Struct("<I")
_PAGE_NUMBER: Final = struct.Struct("<Q")
_MAGIC: Final = 0xBEEFC0DE
_VERSION: Final = 1
_BRANCH, _LEAF, _OVERFLOW, _IS_META = 1, 2, 4, 8
_KINDS: Final = _BRANCH | _LEAF | _OVERFLOW | _IS_META
_HAS_NUMBERS: Final = 8  # flag of a tree
_BIG, _TREE_INSIDE = 1, 2  # flags of a row: value on pages of its own, value is another tree
_NO_ROOT: Final = 2**64 - 1


class PageError(Exception):
    """A page is not what it should be."""


class Tree(NamedTuple):
    """Where a table begins."""

    root: int
    """Number of its first page."""
    depth: int
    """Levels of pages."""
    entries: int
    """Rows that it should have."""
    has_numbers: bool = False
    """Whether keys are numbers, sorted by their value, as in the list of free pages."""


class PageRow(NamedTuple):
    """A row as it lies in the file."""

    key: bytes
    value: bytes


NO_ROWS: Final = Tree(_NO_ROOT, 0, 0)
"""A tree of a table that is not there."""


class Trees(NamedTuple):
    """With what a moment of the log begins."""

    free: Tree
    """Lists of pages that may be used again, by the transaction that gave them up."""
    main: Tree
    """Its rows are the tables."""


@dataclass(frozen=True, slots=True)
class DamagedPage:
    """A page that cannot be read, with all pages below it."""

    page: int
    problem: str
    low: bytes
    """No key that it held is below this."""
    high: bytes | None
    """Every key that it held is below this; None: up to the last."""


@dataclass(frozen=True, slots=True)
class _Position:
    """A page in its tree."""

    page: int
    level: int
    """1 for pages of rows."""
    low: bytes
    high: bytes | None


class PageFile:
    """The file of a log, to be read page by page."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            OSError: It cannot be read.
        """
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.page_bytes = 4096

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def main_tree(self, transaction: int | None = None) -> Tree:
        """Return the tree whose rows are the tables; see `trees`."""
        return self.trees(transaction).main

    def trees(self, transaction: int | None = None) -> "Trees":
        """Return the trees with which a moment of the log begins.

        Args:
            transaction: Of which moment; None: the last one.

        Raises:
            PageError: Neither of the two first pages can be believed, or that moment has gone.
        """
        found: dict[int, Trees] = {}
        problems = []
        for number in (0, 1):
            try:
                made, trees = self._meta(number)
                found[made] = trees
            except PageError as error:
                problems.append(str(error))
        if transaction is None and found:
            return found[max(found)]
        if transaction in found:
            return found[transaction]
        raise PageError("; ".join(problems) or f"transaction {transaction} has gone")

    def tables(self, main: Tree) -> tuple[dict[str, Tree], list[DamagedPage]]:
        """Return the trees of the tables by name, and what of the list of them is damaged."""
        trees, damaged = {}, []
        for found in self.walk(main, b"", inside=True):
            if isinstance(found, DamagedPage):
                damaged.append(found)
            else:
                trees[found.key.decode()] = _tree(found.value)
        return trees, damaged

    def walk(
        self, tree: Tree, start: bytes, *, inside: bool = False
    ) -> Iterator[PageRow | DamagedPage]:
        """Yield all rows of a tree from a key on in their order, and in its place what is damaged.

        Args:
            tree: Where it begins.
            start: No row with a key below this is yielded.
            inside: Whether its rows are trees.
        """
        if tree.root == _NO_ROOT:
            return
        if not 1 <= tree.depth <= DEPTH_MAX:
            yield DamagedPage(tree.root, f"a tree of {tree.depth} levels", b"", None)
            return
        waiting = [_Position(tree.root, tree.depth, b"", None)]
        while waiting:
            position = waiting.pop()
            try:
                below, rows = self._read(tree, position, start, inside=inside)
            except PageError as error:
                yield DamagedPage(position.page, str(error), position.low, position.high)
                continue
            yield from rows
            waiting += reversed(below)

    def _read(
        self, tree: Tree, position: _Position, start: bytes, *, inside: bool
    ) -> tuple[list[_Position], list[PageRow | DamagedPage]]:
        """Return what lies below a page, or the rows in it."""
        kind = _LEAF if position.level == 1 else _BRANCH
        page = self._page(position.page, kind)
        nodes = _nodes(page, tree, position, is_leaf=kind == _LEAF)
        if kind == _BRANCH:
            return _children(position, nodes, start), []
        kept = [node for node in nodes if node.key >= start]
        return [], [self._row(page, node, position, inside=inside) for node in kept]

    def _row(
        self, page: bytes, node: "_Node", position: _Position, *, inside: bool
    ) -> PageRow | DamagedPage:
        value = page[node.at : node.at + node.size]
        if node.flags == (_TREE_INSIDE if inside else 0):
            return PageRow(node.key, value)
        if node.flags != _BIG:
            return _damaged(position, node, f"a row has flags {node.flags}")
        try:
            return PageRow(node.key, self._overflow(_PAGE_NUMBER.unpack(value)[0], node.big_size))
        except PageError as error:
            return _damaged(position, node, str(error))

    def _overflow(self, number: int, size: int) -> bytes:
        page = self._page(number, _OVERFLOW)
        (pages,) = _OVERFLOW_PAGES.unpack_from(page, 12)
        if size + _PAGE.size > pages * self.page_bytes:
            raise PageError(f"page {number} has {pages} pages for {size} bytes")
        value = os.pread(self._descriptor, size, number * self.page_bytes + _PAGE.size)
        if len(value) != size:
            raise PageError(f"page {number} lies beyond the end of the file")
        return value

    def _page(self, number: int, kind: int) -> bytes:
        """Return a page that says that it is the one that it should be."""
        page = os.pread(self._descriptor, self.page_bytes, number * self.page_bytes)
        if len(page) != self.page_bytes:
            raise PageError(f"page {number} lies beyond the end of the file")
        found, _, flags, _, _ = _PAGE.unpack_from(page)
        if found != number:
            raise PageError(f"page {number} says that it is page {found}")
        if flags & _KINDS != kind:
            raise PageError(f"page {number} is of another kind (flags {flags:#x})")
        return page

    def _meta(self, number: int) -> tuple[int, "Trees"]:
        """Return a moment, and its trees."""
        at = number * self.page_bytes + _PAGE.size
        head = os.pread(self._descriptor, _META.size + 2 * _TREE.size + _LAST.size, at)
        if len(head) != _META.size + 2 * _TREE.size + _LAST.size:
            raise PageError(f"page {number} lies beyond the end of the file")
        magic, version, *_ = _META.unpack_from(head)
        page_bytes, *_ = _TREE.unpack_from(head, _META.size)
        trees = Trees(_tree(head, _META.size), _tree(head, _META.size + _TREE.size))
        if (magic, version) != (_MAGIC, _VERSION):
            raise PageError(f"page {number} is not the beginning of a log")
        if not PAGE_BYTES_MIN <= page_bytes <= PAGE_BYTES_MAX:
            raise PageError(f"page {number} tells of pages of {page_bytes} bytes")
        self.page_bytes = page_bytes
        _, made = _LAST.unpack_from(head, _META.size + 2 * _TREE.size)
        return made, trees


class _Node(NamedTuple):
    """A row of a page, or a page below it."""

    key: bytes
    at: int
    """Where its value begins."""
    size: int
    """Bytes of the value in this page."""
    big_size: int
    """Bytes of the value, wherever it lies."""
    flags: int
    below: int
    """Number of the page below; of no meaning for a row."""


def _tree(data: bytes, at: int = 0) -> Tree:
    _, flags, depth, *_, entries, root = _TREE.unpack_from(data, at)
    return Tree(root, depth, entries, has_numbers=bool(flags & _HAS_NUMBERS))


def _damaged(position: _Position, node: _Node, problem: str) -> DamagedPage:
    """Return that one row of a page cannot be read."""
    return DamagedPage(position.page, problem, node.key, node.key + b"\0")


def _nodes(page: bytes, tree: Tree, position: _Position, *, is_leaf: bool) -> list[_Node]:
    """Return what a page holds.

    Raises:
        PageError: Something lies outside it, or a key is out of its place.
    """
    number, _, _, lower, upper = _PAGE.unpack_from(page)
    count = (lower - _PAGE.size) // 2
    if not _PAGE.size < lower <= upper <= len(page):
        raise PageError(f"page {number} has no rows or more than fit")
    places = struct.unpack_from(f"<{count}H", page, _PAGE.size)
    nodes = [_node(page, number, place, upper, is_leaf=is_leaf) for place in places]
    if tree.has_numbers:  # little-endian: turned round, their bytes sort as they do
        nodes = [node._replace(key=node.key[::-1]) for node in nodes]
    keys = [node.key for node in nodes[0 if is_leaf else 1 :]]  # the first branch has no key
    if any(one >= other for one, other in pairwise(keys)):
        raise PageError(f"page {number} has keys out of order")
    if keys and (keys[0] < position.low or not _is_below(keys[-1], position.high)):
        raise PageError(f"page {number} has keys of another place")
    return nodes


def _is_below(key: bytes, high: bytes | None) -> bool:
    return high is None or key < high


def _node(page: bytes, number: int, place: int, upper: int, *, is_leaf: bool) -> _Node:
    if not upper <= place <= len(page) - _NODE.size:
        raise PageError(f"page {number} has a row outside it")
    low, high, flags, key_size = _NODE.unpack_from(page, place)
    at = place + _NODE.size + key_size
    big_size = low | high << 16
    size = 0 if not is_leaf else _PAGE_NUMBER.size if flags & _BIG else big_size
    if at + size > len(page):
        raise PageError(f"page {number} has a row that does not end in it")
    key = page[place + _NODE.size : at]
    return _Node(key, at, size, big_size, flags, big_size | flags << 32)


def _children(position: _Position, nodes: list[_Node], start: bytes) -> list[_Position]:
    """Return the pages below one that can hold keys from a start on."""
    lows = [position.low, *(node.key for node in nodes[1:])]
    highs = [*lows[1:], position.high]
    return [
        _Position(node.below, position.level - 1, low, high)
        for node, low, high in zip(nodes, lows, highs, strict=True)
        if _is_below(start, high)
    ]
