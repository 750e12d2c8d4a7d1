"""Quantiles that the intervals share."""

import math

from scipy.special import stdtrit

from replay.errors import LevelError


def check_level(level: float) -> None:
    """Refuse what is no confidence level.

    Raises:
        LevelError: The level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise LevelError(level)


def t_quantile(level: float, units: int) -> float:
    """Two-sided quantile of Student's t with a degree of freedom less than there are units.

    Raises:
        LevelError: The level is not between 0 and 1.
    """
    check_level(level)
    return float(stdtrit(units - 1, (1 + level) / 2)) if units > 1 else math.inf
