"""Reads the part of the Dockerfile language that ours uses; anything else is an error."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

KNOWN = frozenset(
    {
        *("FROM", "SHELL", "ENV", "WORKDIR", "USER", "RUN", "COPY"),
        *("VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
    }
)


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined."""

    name: str
    flags: tuple[tuple[str, str], ...]
    """Such as ("from", "build") for --from=build."""
    rest: str
    """All that follows the flags."""

    def flag(self, name: str, default: str = "") -> str:
        """The value of a flag."""
        return dict(self.flags).get(name, default)

    def words(self) -> list[str]:
        """The rest as words, from JSON or as a shell would split it."""
        command = self.rest.removeprefix("CMD ")  # of a HEALTHCHECK
        if command.startswith("["):
            return [str(word) for word in json.loads(command)]
        return shlex.split(command)


@dataclass(frozen=True)
class Stage:
    """What follows one FROM."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]


def parse(text: str) -> list[Stage]:
    """The stages of a Dockerfile.

    Raises:
        ValueError: if it uses what this parser does not know.
    """
    stages: list[tuple[list[str], list[Instruction]]] = []
    for one in _instructions(text):
        if one.name == "FROM":
            stages.append((one.words(), []))
        else:
            stages[-1][1].append(one)
    return [Stage(_stage_name(words), words[0], tuple(found)) for words, found in stages]


def _stage_name(words: list[str]) -> str:
    """The name after AS; a stage without one is the last, and the image."""
    return words[2] if len(words) == 3 else ""


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    for line in filter(str.strip, joined.splitlines()):
        name, _, rest = line.strip().partition(" ")
        if name not in KNOWN:
            raise ValueError(f"unknown instruction: {line}")
        flags = []
        while match := re.match(r"\s*--([a-z-]+)=(\S+)\s+", rest):
            flags.append((match[1], match[2]))
            rest = rest[match.end() :]
        yield Instruction(name, tuple(flags), rest.strip())


def context_files(context: Path) -> Iterator[Path]:
    """Paths of the files that .dockerignore lets into the build, relative to `context`."""
    lines = (context / ".dockerignore").read_text().splitlines()
    rules = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    yield from _walk(context, Path(), rules)


def _walk(context: Path, below: Path, rules: list[str]) -> Iterator[Path]:
    for path in sorted((context / below).iterdir()):
        relative = path.relative_to(context)
        if not path.is_dir():
            if not _ignored(relative, rules):
                yield relative
        elif not _ignored(relative, rules):
            yield from _walk(context, relative, rules)


def _ignored(path: Path, rules: list[str]) -> bool:
    """What the last rule that matches the path, or a directory above it, says.

    An ignored directory is not looked into, so a rule cannot let in what lies below one. Docker
    would look; our file does not need it.
    """
    verdict = False
    for rule in rules:
        if any(_matches(part, rule.lstrip("!")) for part in (path, *path.parents)):
            verdict = not rule.startswith("!")
    return verdict


def _matches(path: Path, pattern: str) -> bool:
    if path == Path():
        return False
    if pattern.startswith("**/"):
        return fnmatchcase(path.name, pattern.removeprefix("**/"))
    return len(path.parts) == len(Path(pattern).parts) and fnmatchcase(str(path), pattern)
