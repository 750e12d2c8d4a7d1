"""What can go wrong in asking for a simulation: settings that no world or learner has."""

from collections.abc import Sequence

from replay.errors import SettingError


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


def check_range(setting: str, value: float, low: float, high: float) -> None:
    """Checks a setting against its limits, both inclusive.

    Raises:
        OutOfRangeError: if it lies outside, or is no number.
    """
    if not low <= value <= high:
        raise OutOfRangeError(setting, value, low, high)
