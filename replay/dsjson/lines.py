"""Reads lines of decision-service JSON: checks each, and names what is wrong with those it leaves.

The format is Vowpal Wabbit's `--dsjson`. A contextual bandit has `_label_cost`, `_label_Action`
(from 1) and `_label_probability`, the actions `a` in the order of the ranking with their
probabilities `p`, and `pdrop`, the chance that the line was thrown away to save room. A conditional
contextual bandit has `_outcomes`, one for each slot, with `_label_cost`, `_a` and `_p`.
"""

import gzip
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from replay.errors import TableFormatError
from replay.sample import MAX_MAGNITUDE, MIN_PROBABILITY

SUM_TOLERANCE = 1e-3
"""Probabilities are float32, and written with some six digits."""
LABEL_TOLERANCE = 1e-3
"""Of the probability itself: it divides the reward, however small it is."""
LINES_NAMED = 5
SUFFIXES = (".json", ".jsonl", ".dsjson", ".log", ".gz")
_GZIP_MAGIC = b"\x1f\x8b"
Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Draw:
    """One choice: of a decision, or of one slot of it."""

    event: Event
    """The whole line."""
    slot: int
    """0, but for the later slots of a conditional contextual bandit."""
    reward: float
    """Minus the cost."""
    actions: tuple[int, ...]
    """Ids of the actions that could be taken, in the order of the ranking; the first was taken."""
    pmf: tuple[float, ...]
    """Their probabilities."""
    kept: float
    """Chance that the line was not thrown away; above 0."""

    @property
    def probability(self) -> float:
        """Of the action that was taken."""
        return self.pmf[0]


class DamagedLineError(ValueError):
    """A line says nothing that can be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Damage:
    """Lines that were left out for one reason."""

    count: int = 0
    named: list[str] = field(default_factory=list)
    """File and number of the first ones."""


@dataclass(slots=True)
class Left:
    """All lines that were left out."""

    damaged: dict[str, Damage] = field(default_factory=dict)
    """By what is wrong with them."""
    unlabelled: int = 0
    """Sound lines that are no decision with an outcome: observations, skipped or not activated."""

    def note(self, reason: str, where: str) -> None:
        """Counts a damaged line."""
        damage = self.damaged.setdefault(reason, Damage())
        damage.count += 1
        if len(damage.named) < LINES_NAMED:
            damage.named.append(where)

    @property
    def total(self) -> int:
        """Damaged lines."""
        return sum(damage.count for damage in self.damaged.values())


def files_of(path: Path) -> tuple[Path, ...]:
    """A file, or every file of such logs below a directory, sorted by path.

    Raises:
        TableFormatError: if there is none.
    """
    if not path.exists():
        raise TableFormatError(path, "there is no such file or directory")
    if not path.is_dir():
        return (path,)
    found = sorted(
        one
        for one in path.rglob("*")
        if one.is_file() and one.suffix in SUFFIXES and not one.name.startswith((".", "_"))
    )
    if not found:
        raise TableFormatError(path, f"no file in it ends in {', '.join(SUFFIXES)}")
    return tuple(found)


def lines_of(path: Path) -> Iterator[tuple[int, bytes, int]]:
    """Number, content and place in the file (in bytes read) of every line that is not empty."""
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        file = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw
        try:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line, raw.tell()
        except (OSError, EOFError) as error:
            raise TableFormatError(path, f"it cannot be read: {error}") from error


def draws_of(line: bytes) -> list[Draw]:
    """The choices of a line; none if it is no decision with an outcome.

    Raises:
        DamagedLineError: if it is damaged, or says what cannot be.
    """
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        raise DamagedLineError("is not JSON") from None
    if not isinstance(event, dict):
        raise DamagedLineError("is no JSON object")
    if event.get("_skipLearn") is True:
        return []
    if "_outcomes" in event:
        return _slots(event)
    if "_label_cost" not in event and "_label_probability" not in event:
        return []
    return [_bandit(event)]


def _bandit(event: Event) -> Draw:
    reward = -_number(event, "_label_cost")
    probability = _number(event, "_label_probability")
    actions, pmf = _actions(event, "a", 1), _pmf(event, "p")
    _check_pmf(actions, pmf)
    chosen = event.get("_label_Action", actions[0])
    if isinstance(chosen, bool) or chosen not in actions:
        raise DamagedLineError("took an action (_label_Action) that is not among its actions (a)")
    place = actions.index(chosen)
    _check_probability(probability)
    if not math.isclose(probability, pmf[place], rel_tol=LABEL_TOLERANCE):
        raise DamagedLineError("has a _label_probability that is not that of its action in p")
    order = [place, *(other for other in range(len(actions)) if other != place)]
    return Draw(
        event,
        0,
        reward,
        tuple(actions[index] for index in order),
        (probability, *(pmf[index] for index in order[1:])),
        _kept(event),
    )


def _slots(event: Event) -> list[Draw]:
    outcomes = event["_outcomes"]
    if not isinstance(outcomes, list):
        raise DamagedLineError("has _outcomes that are no list")
    return [_slot(event, number, outcome) for number, outcome in enumerate(outcomes)]


def _slot(event: Event, number: int, outcome: object) -> Draw:
    if not isinstance(outcome, dict):
        raise DamagedLineError("has an outcome that is no JSON object")
    reward = -_number(outcome, "_label_cost")
    actions, pmf = _actions(outcome, "_a", 0), _pmf(outcome, "_p")
    _check_pmf(actions, pmf)
    _check_probability(pmf[0])
    return Draw(event, number, reward, actions, pmf, _kept(event))


def _number(event: Event, name: str) -> float:
    value = event.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DamagedLineError(f"has no number as {name}")
    # Looked at first: a whole number of JSON may be too large for a float.
    if abs(value) > MAX_MAGNITUDE:
        raise DamagedLineError(f"has a {name} beyond {MAX_MAGNITUDE:g}")
    if math.isnan(value):
        raise DamagedLineError(f"has no number as {name}")
    return float(value)


def _list(event: Event, name: str) -> list[Any]:
    found = event.get(name)
    if not isinstance(found, list) or not found:
        raise DamagedLineError(f"has no list {name}")
    return found


def _actions(event: Event, name: str, first: int) -> tuple[int, ...]:
    found = _list(event, name)
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in found):
        raise DamagedLineError(f"has actions in {name} that are no whole numbers")
    if min(found) < first:
        raise DamagedLineError(f"has an action in {name} below {first}")
    if len(set(found)) != len(found):
        raise DamagedLineError(f"names an action of {name} twice")
    return tuple(found)


def _pmf(event: Event, name: str) -> tuple[float, ...]:
    found = _list(event, name)
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in found):
        raise DamagedLineError(f"has probabilities in {name} that are no numbers")
    if not all(0 <= one <= 1 + SUM_TOLERANCE for one in found):
        raise DamagedLineError(f"has a probability in {name} below 0 or above 1")
    return tuple(min(float(one), 1.0) for one in found)


def _check_pmf(actions: Sequence[int], pmf: Sequence[float]) -> None:
    if len(actions) != len(pmf):
        raise DamagedLineError("has another number of actions than of probabilities")
    if abs(math.fsum(pmf) - 1) > SUM_TOLERANCE:
        raise DamagedLineError("has probabilities that do not sum to 1")


def _check_probability(probability: float) -> None:
    if probability < MIN_PROBABILITY:
        raise DamagedLineError("took an action whose probability is zero")
    if probability > 1:
        raise DamagedLineError("took an action whose probability is above 1")


def _kept(event: Event) -> float:
    if event.get("pdrop") is None:
        return 1.0
    dropped = _number(event, "pdrop")
    if not 0 <= dropped < 1:
        raise DamagedLineError("has a pdrop that is not from 0 to below 1")
    return 1.0 - dropped
