"""What can go wrong in choosing: one tree of errors that know no transport."""

from dataclasses import dataclass
from typing import Final

RULES_SHOWN: Final = 10
"""So many of a catalog's rules stand in a message; there may be hundreds of thousands."""


class PolicyError(Exception):
    """Any error of this package."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file or a request."""

    place: str
    """The field, such as `offers.mens.channels[0]`."""
    text: str
    """What is wrong with it, and what would be right."""
    line: int | None = None
    """Line of the file, from 1, where it is known."""

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.place}: {self.text}" if self.place else f"{where}{self.text}"


class CatalogError(PolicyError):
    """A catalog cannot be used; `problems` has all that is wrong with it."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{source} is not a valid catalog:\n{lines}")


class RequestError(PolicyError):
    """A request cannot be answered as it is; `reason` is one of `sendwise.v1.ErrorReason`."""

    def __init__(self, reason: str, field: str, problem: str) -> None:
        self.reason = reason
        self.field = field
        self.problem = problem
        super().__init__(f"{field} {problem}")


class InvalidRewardError(PolicyError):
    """A reward cannot be learned: it is not finite, or too large for the model's arithmetic."""

    def __init__(self, reward: float) -> None:
        self.reward = reward
        super().__init__(f"a reward of {reward!r} cannot be learned; choose a larger unit")


class DivergedModelError(PolicyError):
    """A model's values are not finite, so that no probability follows from them."""

    def __init__(self) -> None:
        super().__init__("the model's values are not finite: train and promote another version")


class UnknownVersionError(PolicyError):
    """No policy or catalog of this version is registered."""

    def __init__(self, version: str) -> None:
        self.version = version
        super().__init__(f"{version[:64]!r} is not registered; `sendwise models` lists what is")


class UnknownRuleError(PolicyError):
    """A fixed rule names what its catalog does not have."""

    def __init__(self, version: str, known: list[str]) -> None:
        self.version = version
        self.known = known
        shown = ", ".join(known[:RULES_SHOWN])
        more = f" and {len(known) - RULES_SHOWN} more" if len(known) > RULES_SHOWN else ""
        super().__init__(
            f"{version[:64]!r} is no rule of this catalog; its rules are {shown}{more}"
        )


class DamagedModelError(PolicyError):
    """A registered file is missing, or is not what was registered."""

    def __init__(self, version: str, file: str) -> None:
        self.version = version
        self.file = file
        super().__init__(
            f"{file!r} of {version!r} is not what was registered: restore it from a backup, or "
            "promote another version"
        )


class InvalidRolloutError(PolicyError):
    """A rollout contradicts itself or names what is not registered."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"this rollout cannot be used: {problem}")


class RolloutChangedError(PolicyError):
    """Somebody else changed the rollout since it was read."""

    def __init__(self, expected: int, actual: int) -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(
            f"rollout {actual} is in force, not {expected}: read it again, then decide"
        )
