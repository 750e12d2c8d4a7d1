"""What is said of a policy against another one, alone and as one of several comparisons."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from replay.errors import NoEstimateError
from replay.estimate import Estimate, estimate_json
from replay.paired import PairedDifference


class Standing(StrEnum):
    """Where the interval of a difference lies."""

    BETTER = "better"
    """Above 0, all of it."""
    WORSE = "worse"
    """Below 0, all of it."""
    UNCLEAR = "unclear"
    """It holds 0: the difference may be luck."""


_WORDS = {
    Standing.BETTER: "better",
    Standing.WORSE: "worse",
    Standing.UNCLEAR: "not clearly better or worse",
}


def standing_of(difference: Estimate) -> Standing:
    """Where the interval lies."""
    low, high = difference.interval
    if low > 0:
        return Standing.BETTER
    return Standing.WORSE if high < 0 else Standing.UNCLEAR


def apart(one: Estimate, other: Estimate) -> Estimate:
    """One value minus another one of other rows, whose errors have nothing to do with each other.

    Squared distances to the ends of both intervals that face each other add up (MOVER: Zou and
    Donner 2008, "Construction of confidence limits about effect measures: a general approach",
    Statistics in Medicine 27), so that lopsided intervals give a lopsided one, at their level.
    Where the same subjects had a part in both it is too wide rather than too narrow.
    """
    value = one.value - other.value
    below = math.hypot(one.value - one.interval[0], other.interval[1] - other.value)
    above = math.hypot(one.interval[1] - one.value, other.value - other.interval[0])
    return Estimate(value, (value - below, value + above), "difference of independent estimates")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A difference, with its interval alone and among others."""

    difference: Estimate
    """With an interval that holds the truth at its own level, whatever else is compared."""
    simultaneous: Estimate
    """With an interval so wide that all of them hold at once at that level (Bonferroni)."""
    comparisons: int
    """How many there are."""
    simultaneous_level: float

    @property
    def words(self) -> str:
        """Where the difference stands, taken alone."""
        return _WORDS[standing_of(self.difference)]

    @property
    def stands(self) -> bool:
        """Whether it stands there among all comparisons as well."""
        return standing_of(self.simultaneous) is standing_of(self.difference)

    @property
    def among(self) -> str:
        """The same in words; empty where there is nothing to say."""
        is_clear = standing_of(self.difference) is not Standing.UNCLEAR
        if self.comparisons < 2 or not is_clear:  # noqa: PLR2004 - alone
            return ""
        still = "still so" if self.stands else "not so"
        return f"{still} if all {self.comparisons} comparisons are to hold at once"

    def to_json(self) -> dict[str, Any]:
        """As the contract of `sendwise evaluate` states it."""
        found = estimate_json(self.simultaneous)
        return {
            "comparisons": self.comparisons,
            "standing": standing_of(self.difference).value,
            "simultaneous_level": self.simultaneous_level,
            "simultaneous_interval": found["interval"],
            "simultaneous_standing": standing_of(self.simultaneous).value,
        }


def compared(paired: PairedDifference, level: float, comparisons: int) -> Comparison | None:
    """What rows say of two policies, as one of several comparisons; None if nothing.

    By Bonferroni's inequality, m intervals at 1 - (1 - level) / m miss at all with a chance of at
    most 1 - level, however they depend on each other, which those on one log do.

    Raises:
        LevelError: The level is not between 0 and 1.
    """
    stricter = 1 - (1 - level) / max(comparisons, 1)
    try:
        alone, among = paired.estimate(level), paired.estimate(stricter)
    except NoEstimateError:
        return None
    return Comparison(alone, among, comparisons, stricter)
