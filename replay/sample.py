"""One chunk of interactions as columns of numbers, checked once where it enters."""

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replay.errors import BadValueError, ColumnTypeError, LengthMismatchError, MissingColumnError
from replay.sums import Floats

Ints = NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)

MAX_MAGNITUDE = 1e60
"""Largest reward or value in magnitude. Squares of weighted rewards stay within float64."""

MIN_PROBABILITY = 1e-60
"""Smallest probability that a logged action can have had: no draw ever takes a rarer one. A target
probability below it weighs nothing, so that squares of weights stay within float64."""

_VALUE_RULE = f"must be a finite number of at most {MAX_MAGNITUDE:g} in magnitude"
_P_LOG_RULE = f"must be a probability above zero (at least {MIN_PROBABILITY:g}) and at most 1"
_PROBABILITY_RULE = "must be a probability from 0 to 1"


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A chunk of n interactions; every column is a float64 array of shape (n,).

    Raises:
        SampleError: A column is no row of numbers, has another length than `reward`, or holds a
            value that breaks its rule; the error names the row and the column.
    """

    reward: Floats
    """What the interaction earned."""
    p_log: Floats
    """Probability with which the logging policy took the logged action; above 0."""
    p_target: Floats
    """Probability with which the target policy takes the same action."""
    q_logged: Floats | None = None
    """The reward model's value of the logged action."""
    v_target: Floats | None = None
    """The reward model's mean value over the target policy's actions."""
    p_unsupported: Floats | None = None
    """Target probability of all actions that the logging policy could not take."""
    subject: Ints | None = None
    """Cluster of the interaction: the same number for the same subject."""
    first_row: int = 1
    """Number of the first row in its source, for errors."""
    weight: Floats = field(init=False)
    """Importance weight p_target / p_log; zero where p_target is below `MIN_PROBABILITY`."""

    def __post_init__(self) -> None:
        self._set("reward", self._column("reward", -MAX_MAGNITUDE, MAX_MAGNITUDE, _VALUE_RULE))
        self._set("p_log", self._column("p_log", MIN_PROBABILITY, 1.0, _P_LOG_RULE))
        self._set("p_target", self._column("p_target", 0.0, 1.0, _PROBABILITY_RULE))
        for name in ("q_logged", "v_target"):
            self._set_optional(name, -MAX_MAGNITUDE, MAX_MAGNITUDE, _VALUE_RULE)
        self._set_optional("p_unsupported", 0.0, 1.0, _PROBABILITY_RULE)
        if self.subject is not None:
            self._set("subject", self._clusters(self.subject))
        possible = np.where(self.p_target < MIN_PROBABILITY, 0.0, self.p_target)
        self._set("weight", possible / self.p_log)

    def __len__(self) -> int:
        return int(self.reward.size)

    @property
    def weighted_reward(self) -> Floats:
        """Importance weight times reward, shape (n,)."""
        return self.weight * self.reward

    def require(self, column: str, needed_by: str) -> Floats:
        """An optional column that somebody cannot do without.

        Raises:
            MissingColumnError: The sample does not have it.
        """
        values: Floats | None = getattr(self, column)
        if values is None:
            raise MissingColumnError(column, needed_by)
        return values

    def _set(self, name: str, values: NDArray[np.generic]) -> None:
        object.__setattr__(self, name, values)

    def _set_optional(self, name: str, low: float, high: float, rule: str) -> None:
        if getattr(self, name) is not None:
            self._set(name, self._column(name, low, high, rule))

    def _column(self, name: str, low: float, high: float, rule: str) -> Floats:
        """The named column as float64, of the right length and within its limits."""
        values = _numbers(name, getattr(self, name), np.float64, "iufb", "numbers")
        self._check_length(name, values.size)
        # The comparison is false for NaN, so that NaN is bad as well.
        good = (values >= low) & (values <= high)
        if not good.all():
            index = int(np.argmin(good))
            raise BadValueError(self.first_row + index, name, float(values[index]), rule)
        return values

    def _clusters(self, subject: ArrayLike) -> Ints:
        clusters = _numbers("subject", subject, np.int64, "iu", "whole numbers")
        self._check_length("subject", clusters.size)
        return clusters

    def _check_length(self, name: str, length: int) -> None:
        # `reward` is checked against itself first and is an array from then on.
        expected = np.size(self.reward)
        if length != expected:
            raise LengthMismatchError(name, length, expected)


def _numbers(
    name: str, values: ArrayLike, dtype: type[Number], kinds: str, expected: str
) -> NDArray[Number]:
    """The values as a row of one type; text, objects and tables of numbers are refused."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise ColumnTypeError(name, f"an array of {array.ndim} dimensions", f"a row of {expected}")
    if array.size and array.dtype.kind not in kinds:
        raise ColumnTypeError(name, f"values of type {array.dtype}", expected)
    return array.astype(dtype, copy=False)
