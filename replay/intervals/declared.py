"""Checks that rows keep what was declared of them: promises, whose breach is an error."""

import math

from replay.errors import BadValueError
from replay.estimate import NO_BOUNDS
from replay.intervals.settings import IntervalSettings, Method
from replay.sample import Sample
from replay.sums import Floats

_ON_MODELS = frozenset({Method.BERNSTEIN, Method.LIKELIHOOD, Method.SEQUENCE})
"""Methods that take modelled values to keep the bounds of the reward as well."""


def check_declared(sample: Sample, settings: IntervalSettings) -> None:
    """Refuse rows that break what was declared.

    Raises:
        BadValueError: A reward lies outside the bounds, a weight above the largest, or, for a
        method
            that rests on it, a modelled value outside the bounds.
    """
    if settings.bounds != NO_BOUNDS:
        _check_bounds(sample, "reward", sample.reward, settings)
        for name in ("q_logged", "v_target") if settings.method in _ON_MODELS else ():
            values: Floats | None = getattr(sample, name)
            if values is not None:
                _check_bounds(sample, name, values, settings)
    if math.isfinite(settings.max_weight):
        heavy = sample.weight > settings.max_weight
        if heavy.any():
            index = int(heavy.argmax())
            rule = f"is above the declared largest weight of {settings.max_weight:g}"
            row = sample.first_row + index
            raise BadValueError(row, "weight", float(sample.weight[index]), rule)


def _check_bounds(sample: Sample, name: str, values: Floats, settings: IntervalSettings) -> None:
    bounds = settings.bounds
    outside = (values < bounds.low) | (values > bounds.high)
    if outside.any():
        index = int(outside.argmax())
        rule = f"lies outside the declared bounds from {bounds.low} to {bounds.high}"
        raise BadValueError(sample.first_row + index, name, float(values[index]), rule)
