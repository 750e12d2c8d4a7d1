"""What can go wrong in asking for a simulation: settings that no world or learner has."""

from collections.abc import Sequence
from pathlib import Path

from replay.errors import ReplayError, SettingError

PROBLEMS_SHOWN = 5
"""So many problems of a policy stand in a message; one mistake may show in every stage."""


class OutOfRangeError(SettingError):
    """A setting of a simulation lies outside its limits."""

    def __init__(self, setting: str, value: float, low: float, high: float) -> None:
        super().__init__(f"{setting} lies between {low:,} and {high:,}, not at {value:,}")
        self.setting = setting
        self.value = value
        self.low = low
        self.high = high


class UnknownWorldError(SettingError):
    """No world has this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no world {name!r}; there are {', '.join(known)}")
        self.name = name
        self.known = tuple(known)


class UnknownLearnerError(SettingError):
    """No learner has this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no learner {name!r}; there are {', '.join(known)}")
        self.name = name
        self.known = tuple(known)


class UnusableLearnerError(SettingError):
    """A learner that somebody wrote cannot be imported, made or asked."""

    def __init__(self, spec: str, problem: str) -> None:
        super().__init__(f"{spec!r} cannot be used: {problem}")
        self.spec = spec
        self.problem = problem


class PictureFormatError(SettingError):
    """A file's ending names no kind of picture that can be written."""

    def __init__(self, path: Path, known: Sequence[str]) -> None:
        super().__init__(f"{path}: a picture ends with {', '.join(f'.{one}' for one in known)}")
        self.path = path
        self.known = tuple(known)


class NonConformingError(ReplayError):
    """A policy does not do what every policy has to do."""

    def __init__(self, policy: object, problems: Sequence[str]) -> None:
        super().__init__(f"{policy!r} does not conform: {'; '.join(problems[:PROBLEMS_SHOWN])}")
        self.policy = policy
        """Its version, whatever that is."""
        self.problems = tuple(problems)


def check_range(setting: str, value: float, low: float, high: float) -> None:
    """Checks a setting against its limits, both inclusive.

    Raises:
        OutOfRangeError: if it lies outside, or is no number.
    """
    if not low <= value <= high:
        raise OutOfRangeError(setting, value, low, high)
