"""Chooses among estimates that trade bias for variance: SLOPE++."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from replay.moments import root

_SHRINKAGE = math.sqrt(6) - 1
"""The constant of the method's guarantee (Su, Srinath and Krishnamurthy 2020, theorem 3)."""

_QUANTILE = 1.959963984540054
"""Half-widths are those of 95%, whatever level the report asks for: the choice is the same."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One estimate."""

    value: Fraction
    variance: Fraction


def slope(candidates: Sequence[Candidate]) -> int:
    """Index of the estimate to use.

    SLOPE (Su, Srinath and Krishnamurthy 2020, "Adaptive Estimator Selection for Off-Policy
    Evaluation") in the form of Tucker and Lee (2021, "Improved Estimator Selection for Off-Policy
    Evaluation", there called SLOPE++), which asks for no order of the biases: candidates are tried
    from the widest interval to the narrowest, and the last one is taken that is not further from
    any wider one before it than their half-widths explain:
    |V_i - V_j| <= c_i + (sqrt(6) - 1) * c_j. The error of what is chosen is within a constant of
    the best candidate's.

    Args:
        candidates: At least one; of equally wide ones those named first are tried first.
    """
    widths = [_QUANTILE * root(one.variance) for one in candidates]
    order = sorted(range(len(candidates)), key=lambda index: -widths[index])
    tried: list[int] = []
    for index in order:
        if any(_is_too_far(candidates, widths, index, other) for other in tried):
            break
        tried.append(index)
    return tried[-1]


def _is_too_far(
    candidates: Sequence[Candidate], widths: Sequence[float], index: int, other: int
) -> bool:
    gap = abs(float(candidates[index].value - candidates[other].value))
    return gap > widths[index] + _SHRINKAGE * widths[other]
