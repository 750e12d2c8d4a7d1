"""Numbers as people read them: percent for rates, and no more digits than the interval bears."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from replay.estimate import Estimate
from replay.report_data import Unit

UNKNOWN = "unknown"
"""Stands for an end of an interval that the data cannot give."""

_MAX_DECIMALS = 6
_SMALL_SHARE = 0.1
_LARGE_SHARE = 0.99
_ONE_DIGIT = 10.0
_MINUS = "−"


def count(number: float) -> str:
    """A whole count with separated thousands."""
    return f"{number:,.0f}"


def percent(share: float) -> str:
    """A share from 0 to 1 in percent, with a decimal where it is near one of the ends."""
    near_an_end = 0 < share < _SMALL_SHARE or _LARGE_SHARE < share < 1
    return f"{share:.1%}" if near_an_end else f"{share:.0%}"


def level(confidence: float) -> str:
    """A confidence level in percent, with all its digits."""
    return f"{confidence * 100:.6g}%"


@dataclass(frozen=True, slots=True)
class Formats:
    """Writes values of one unit."""

    unit: Unit

    def value(self, estimate: Estimate) -> str:
        """The value alone."""
        return self._write(estimate.value, _decimals(estimate, self._scale))

    def interval(self, estimate: Estimate) -> str:
        """Both ends, with the value's digits."""
        decimals = _decimals(estimate, self._scale)
        low, high = (self._write(end, decimals) for end in estimate.interval)
        return f"{low} to {high}"

    def difference(self, estimate: Estimate) -> str:
        """A signed difference; percentage points where the unit is a rate."""
        return self._signed(estimate.value, _decimals(estimate, self._scale)) + self._points

    def difference_interval(self, estimate: Estimate) -> str:
        """Both signed ends of a difference."""
        decimals = _decimals(estimate, self._scale)
        low, high = (self._signed(end, decimals) for end in estimate.interval)
        return f"{low} to {high}{self._points}"

    def ticks(self, places: Sequence[float]) -> Callable[[float, object], str]:
        """A formatter for the ticks of an axis, telling neighbours apart."""
        steps = [after - before for before, after in pairwise(places)]
        decimals = _decimals_of(min(steps, default=0.0) * self._scale * _ONE_DIGIT)
        return lambda value, _position: self._write(value, decimals)

    @property
    def _scale(self) -> float:
        return 100.0 if self.unit is Unit.RATE else 1.0

    @property
    def _points(self) -> str:
        return " pp" if self.unit is Unit.RATE else ""

    def _write(self, value: float, decimals: int) -> str:
        if not math.isfinite(value):
            return UNKNOWN
        suffix = "%" if self.unit is Unit.RATE else ""
        return _signed_zero_free(f"{value * self._scale:,.{decimals}f}") + suffix

    def _signed(self, value: float, decimals: int) -> str:
        if not math.isfinite(value):
            return UNKNOWN
        text = _signed_zero_free(f"{value * self._scale:,.{decimals}f}")
        return text if text.startswith(_MINUS) or not text.strip("0.,") else f"+{text}"


def _decimals(estimate: Estimate, scale: float) -> int:
    """Decimals that leave two significant digits of the interval's half width."""
    low, high = estimate.interval
    return _decimals_of((high - low) / 2 * scale)


def _decimals_of(width: float) -> int:
    """Decimals that show two digits of a width; two where the width says nothing."""
    if not math.isfinite(width) or width <= 0:
        return 2
    # A hair more, since widths that should be a power of ten come out just below it.
    return min(max(1 - math.floor(math.log10(width * 1.000001)), 0), _MAX_DECIMALS)


def _signed_zero_free(text: str) -> str:
    """With a real minus sign, and none before a zero."""
    if text.startswith("-"):
        return _MINUS + text[1:] if text.strip("-0.,") else text[1:]
    return text
