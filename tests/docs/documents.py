"""Reads the repository's Markdown: fences, commands, links, anchors and tables."""

import re
import shlex
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^( *)```(.*?)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_SAVED_AS = re.compile(r"\bas\s+`([\w.]+)`[^`]*$")
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block."""

    info: str
    """What stands behind the opening backticks, such as `toml`."""
    text: str
    saved_as: str | None
    """The file's name, if the sentence before says `save it as NAME`."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a console block, and what it printed."""

    words: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Document:
    """One Markdown file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        """The whole file."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """The file without its fenced blocks."""
        return _FENCE.sub("", self.text)

    def fences(self, language: str) -> list[Fence]:
        """The blocks of a language."""
        found = []
        for match in _FENCE.finditer(self.text):
            if match[2].split(" ")[0] == language:
                name = _SAVED_AS.search(self.text[: match.start()])
                text = re.sub(f"^{match[1]}", "", match[3], flags=re.MULTILINE)
                found.append(Fence(match[2], text, name[1] if name else None))
        return found

    def commands(self, program: str) -> list[Command]:
        """The commands of a program in console blocks."""
        parts = (
            part.partition("\n")
            for fence in self.fences("console")
            for part in re.split(r"^\$ ", fence.text, flags=re.MULTILINE)
        )
        found = [Command(_words(line), output) for line, _, output in parts if line]
        return [command for command in found if command.words[0] == program]

    def inline(self) -> list[str]:
        """Texts in single backticks."""
        return [code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", self.prose)]

    def links(self) -> list[str]:
        """Where the links and pictures of the prose lead."""
        return _LINK.findall(self.prose)

    def anchors(self) -> set[str]:
        """The anchors of the headings, as GitHub names them."""
        seen = Counter[str]()
        anchors = set()
        for heading in _HEADING.findall(self.prose):
            slug = _slug(heading)
            anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
        return anchors

    def tables(self, heading: str) -> list[list[list[str]]]:
        """The tables of a section, up to the next heading: rows of cells, without their heads."""
        section = re.split(rf"^#+ +{re.escape(heading)}$", self.prose, flags=re.MULTILINE)
        if len(section) == 1:
            raise LookupError(f"{self} has no section {heading!r}")
        body = re.split(r"^#", section[1], flags=re.MULTILINE)[0]
        found = re.findall(r"^\|.*\n\|[-| ]+\n((?:\|.*\n)+)", body, re.MULTILINE)
        return [[_cells(row) for row in rows.splitlines()] for rows in found]


def documents() -> list[Document]:
    """All documents of the repository."""
    patterns = ("*.md", "docs/**/*.md", "deploy/*.md")
    return [Document(path) for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def document(name: str) -> Document:
    """One document by its path in the repository."""
    return Document(ROOT / name)


def code_of(cell: str) -> str:
    """The text of a cell that is a code; empty if it is none."""
    found = re.fullmatch(r"`(.+)`", cell)
    return found[1] if found else ""


def _words(line: str) -> tuple[str, ...]:
    """The words of a command line; what the shell would fill in stands for a day."""
    filled = re.sub(r"\$\([^)]*\)|\$[A-Z_]+", "2030-01-01", line)
    return tuple(shlex.split(filled, comments=True))


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in _CELL.split(row)[1:-1]]


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
