"""One chunk of interactions as columns of numbers, checked once where it enters."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeVar

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

STAGES: Final = ("offer", "channel", "time")
"""The stages of an action in the order in which they are chosen."""

STAGE_TOLERANCE = 1e-3
"""Relative gap allowed between a probability and the product of its stages': logs round."""

_VALUE_RULE = f"must be a finite number of at most {MAX_MAGNITUDE:g} in magnitude"
_P_LOG_RULE = f"must be a probability above zero (at least {MIN_PROBABILITY:g}) and at most 1"
_PROBABILITY_RULE = "must be a probability from 0 to 1"

_VALUE = (-MAX_MAGNITUDE, MAX_MAGNITUDE, _VALUE_RULE)
_P_LOG = (MIN_PROBABILITY, 1.0, _P_LOG_RULE)
_PROBABILITY = (0.0, 1.0, _PROBABILITY_RULE)

NUMBERS: Final[Mapping[str, tuple[float, float, str]]] = MappingProxyType(
    {
        "reward": _VALUE,
        "p_log": _P_LOG,
        "p_target": _PROBABILITY,
        "q_logged": _VALUE,
        "v_target": _VALUE,
        "p_unsupported": _PROBABILITY,
        "p_mixture": _P_LOG,
        **{f"p_log_{stage}": _P_LOG for stage in STAGES},
        **{f"p_target_{stage}": _PROBABILITY for stage in STAGES},
        **{f"q_{stage}": _VALUE for stage in STAGES},
        **{f"v_{stage}": _VALUE for stage in STAGES},
        "p_log_features": _P_LOG,
        "p_target_features": _PROBABILITY,
    }
)
"""Smallest and largest value of every column of numbers, and the rule in words."""

CLUSTERS: Final = ("subject", "logger")
"""Columns of whole numbers that say what belongs together."""


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
    p_mixture: Floats | None = None
    """Probability of the logged action under all loggers mixed: each logger's probability of it,
    weighted by the logger's share of the rows."""
    logger: Ints | None = None
    """Which of several logging policies took the action: a number for each."""
    p_log_offer: Floats | None = None
    """Probability with which the logging policy took the logged offer."""
    p_log_channel: Floats | None = None
    """The same for the channel, given the offer."""
    p_log_time: Floats | None = None
    """The same for the send time, given offer and channel."""
    p_target_offer: Floats | None = None
    """Probability with which the target policy takes the logged offer."""
    p_target_channel: Floats | None = None
    """The same for the channel, given the logged offer."""
    p_target_time: Floats | None = None
    """The same for the send time, given the logged offer and channel."""
    q_offer: Floats | None = None
    """The reward model's value of the logged offer, if the target policy goes on from there."""
    q_channel: Floats | None = None
    """The same of the logged offer and channel."""
    q_time: Floats | None = None
    """The same of the whole logged action."""
    v_offer: Floats | None = None
    """Mean of the values of offers under the target policy."""
    v_channel: Floats | None = None
    """Mean of the values of the logged offer's channels under the target policy."""
    v_time: Floats | None = None
    """Mean of the values of the logged pair's send times under the target policy."""
    p_log_features: Floats | None = None
    """Probability with which the logging policy takes any offer with the logged one's features."""
    p_target_features: Floats | None = None
    """Probability with which the target policy does."""
    first_row: int = 1
    """Number of the first row in its source, for errors."""
    weight: Floats = field(init=False)
    """Importance weight p_target / p_log; zero where p_target is below `MIN_PROBABILITY`."""

    def __post_init__(self) -> None:
        for name in NUMBERS:
            if getattr(self, name) is not None:
                self._set(name, self._column(name))
        for name in CLUSTERS:
            if getattr(self, name) is not None:
                self._set(name, self._clusters(name, getattr(self, name)))
        self._set("weight", importance_weight(self.p_target, self.p_log))
        for joint in ("p_log", "p_target"):
            self._check_stages(joint)
            self._check_features(joint)

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

    def _column(self, name: str) -> Floats:
        """The named column as float64, of the right length and within its limits."""
        low, high, rule = NUMBERS[name]
        values = _numbers(name, getattr(self, name), np.float64, "iufb", "numbers")
        self._check_length(name, values.size)
        # NaN is the smallest and the largest of its column, and no comparison with it is true.
        if values.size and not (values.min() >= low and values.max() <= high):
            index = int(np.argmin((values >= low) & (values <= high)))
            raise BadValueError(self.first_row + index, name, float(values[index]), rule)
        return values

    def _clusters(self, name: str, given: ArrayLike) -> Ints:
        clusters = _numbers(name, given, np.int64, "iu", "whole numbers")
        self._check_length(name, clusters.size)
        return clusters

    def _check_stages(self, joint: str) -> None:
        """The stages' probabilities must multiply to that of the whole action."""
        stages = [getattr(self, f"{joint}_{stage}") for stage in STAGES]
        if any(stage is None for stage in stages):
            return
        whole, product = getattr(self, joint), stages[0] * stages[1] * stages[2]
        far = abs(product - whole) > STAGE_TOLERANCE * whole
        if far.any():
            index = int(far.argmax())
            rule = f"is not the product of its stages' probabilities, {float(product[index]):g}"
            raise BadValueError(self.first_row + index, joint, float(whole[index]), rule)

    def _check_features(self, joint: str) -> None:
        """All offers with the features of the logged one are at least as likely as the action."""
        name = f"{joint}_features"
        shared, whole = getattr(self, name), getattr(self, joint)
        if shared is None:
            return
        below = shared < whole * (1 - STAGE_TOLERANCE)
        if below.any():
            index = int(below.argmax())
            rule = f"is below {joint}, {float(whole[index]):g}, of one action with these features"
            raise BadValueError(self.first_row + index, name, float(shared[index]), rule)

    def _check_length(self, name: str, length: int) -> None:
        # `reward` is checked against itself first and is an array from then on.
        expected = np.size(self.reward)
        if length != expected:
            raise LengthMismatchError(name, length, expected)


@contextmanager
def named_rows(name_of: Callable[[int], str]) -> Iterator[None]:
    """Names rows in errors where a sample's numbers mean nothing to whoever has its source.

    Args:
        name_of: the name of a row by its index in the sample, from 0; its `first_row` is 1.
    """
    try:
        yield
    except BadValueError as error:
        where = name_of(error.row - 1)
        raise BadValueError(error.row, error.column, error.value, error.rule, where) from None


def importance_weight(p_target: Floats, p_log: Floats) -> Floats:
    """How much likelier the target makes an action; 0 below `MIN_PROBABILITY`."""
    return np.where(p_target < MIN_PROBABILITY, 0.0, p_target) / p_log


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
