"""Which interval is asked for, and what has been declared for it."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from replay.errors import UndeclaredError
from replay.estimate import NO_BOUNDS, Bounds


class Method(StrEnum):
    """How an interval is made; each has a module with its paper."""

    SKEW = "skew"
    """Delta method corrected for skewness: the default."""
    DELTA = "delta"
    """Delta method, symmetric."""
    BOOTSTRAP = "bootstrap"
    """Poisson bootstrap of numerators and denominators together."""
    BERNSTEIN = "bernstein"
    """Empirical Bernstein: holds for any number of rows, and is wide."""
    LIKELIHOOD = "likelihood"
    """Empirical likelihood."""
    SEQUENCE = "sequence"
    """Confidence sequence: holds at every row at once, so that one may peek."""


class Keep(StrEnum):
    """What has to be kept of the rows, beside first and second moments."""

    NOTHING = "nothing"
    CUBES = "third moments"
    ROWS = "rows apart"
    SUBJECTS = "subjects apart"


_DECLARED = frozenset({Method.BERNSTEIN, Method.SEQUENCE})
"""Methods that rest on what is declared and on nothing else."""
_BY_UNIT = frozenset({Method.BOOTSTRAP, Method.LIKELIHOOD})


@dataclass(frozen=True, slots=True)
class IntervalSettings:
    """How intervals are to be made."""

    method: Method = Method.SKEW
    clustered: bool | None = None
    """Whether rows of one subject may depend on each other; needs a column `subject`. None leaves
    it to who knows the data: a log or a table with subjects is clustered, a plain sample is not."""
    bounds: Bounds = NO_BOUNDS
    """What every reward keeps."""
    max_weight: float = math.inf
    """What every importance weight keeps."""

    def __post_init__(self) -> None:
        if not self.max_weight >= 1:
            raise UndeclaredError(
                self.method, "a largest weight of at least 1, since weights mean 1"
            )
        if self.method in _DECLARED and not self.is_bounded:
            raise UndeclaredError(self.method, "the bounds of the reward (--bounds LOW HIGH)")
        if self.method is Method.BERNSTEIN and math.isinf(self.max_weight):
            raise UndeclaredError(self.method, "a largest weight (--max-weight)")

    def known(self, *, has_subjects: bool) -> "IntervalSettings":
        """With what is left to the data: clustered where there are subjects."""
        return self if self.clustered is not None else replace(self, clustered=has_subjects)

    @property
    def is_bounded(self) -> bool:
        """Whether both ends of the rewards are declared."""
        return math.isfinite(self.bounds.low) and math.isfinite(self.bounds.high)

    @property
    def keep(self) -> Keep:
        """What has to be kept of the rows."""
        if self.method is Method.SEQUENCE:
            return Keep.NOTHING
        if self.clustered:
            return Keep.SUBJECTS
        if self.method in _BY_UNIT:
            return Keep.ROWS
        return Keep.CUBES if self.method is Method.SKEW else Keep.NOTHING


DEFAULT_INTERVALS = IntervalSettings()
