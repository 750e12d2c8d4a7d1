"""Checks that rows keep what was declared of them: promises, whose breach is an error."""

from replay.errors import BadValueError
from replay.estimate import NO_BOUNDS
from replay.intervals.settings import IntervalSettings, Method
from replay.sample import Sample
from replay.stages import STAGE_VALUES
from replay.sums import Floats

_ON_MODELS = frozenset({Method.BERNSTEIN, Method.LIKELIHOOD, Method.SEQUENCE})
"""Methods that take modelled values to keep the bounds of the reward as well."""
_MODELLED = ("q_logged", "v_target", *STAGE_VALUES)


def check_declared(sample: Sample, settings: IntervalSettings) -> None:
    """Refuse rows that break what was declared of rewards; `check_weight` is about weights.

    Raises:
        BadValueError: A reward lies outside the bounds or, for a method that rests on it, a
            modelled value.
    """
    if settings.bounds != NO_BOUNDS:
        _check_bounds(sample, "reward", sample.reward, settings)
        for name in _MODELLED if settings.method in _ON_MODELS else ():
            values: Floats | None = getattr(sample, name)
            if values is not None:
                _check_bounds(sample, name, values, settings)


def check_weight(name: str, weights: Floats, most: float, first_row: int) -> None:
    """Refuse weights above the declared largest one, which may be infinite.

    Raises:
        BadValueError: A weight is; `first_row` is the number of the first one.
    """
    heavy = weights > most
    if heavy.any():
        index = int(heavy.argmax())
        rule = f"is above the declared largest weight of {most:g}"
        raise BadValueError(first_row + index, name, float(weights[index]), rule)


def _check_bounds(sample: Sample, name: str, values: Floats, settings: IntervalSettings) -> None:
    bounds = settings.bounds
    outside = (values < bounds.low) | (values > bounds.high)
    if outside.any():
        index = int(outside.argmax())
        rule = f"lies outside the declared bounds from {bounds.low} to {bounds.high}"
        raise BadValueError(sample.first_row + index, name, float(values[index]), rule)
