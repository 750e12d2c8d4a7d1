"""What can go wrong in replay: one tree of errors that carry what they are about."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

NAMES_SHOWN: Final = 20
"""Of the columns of a table."""

_MATURE: Final = (
    "it needs delivered decisions whose attribution window has closed (see `sendwise ledger`; "
    "--as-of moves the moment)"
)
"""What a log must have, and where to look."""


class ReplayError(Exception):
    """Root of every error that replay raises for its input or its data."""


class SampleError(ReplayError):
    """The columns of a sample are not what an evaluation can use."""


class LengthMismatchError(SampleError):
    """A column has another length than the rewards."""

    def __init__(self, column: str, length: int, expected: int) -> None:
        super().__init__(f"column {column} has {length} rows, reward has {expected}")
        self.column = column
        self.length = length
        self.expected = expected


class ColumnTypeError(SampleError):
    """A column does not hold a plain row of numbers."""

    def __init__(self, column: str, found: str, expected: str) -> None:
        super().__init__(f"column {column} must hold {expected}, it holds {found}")
        self.column = column
        self.found = found
        self.expected = expected


def _listed(names: Sequence[str]) -> str:
    """Names in a row; of very many the first ones."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _near(name: str, known: Sequence[str]) -> str:
    """The known name that was meant, perhaps."""
    near = get_close_matches(name, known, n=1)
    return f" (is {near[0]} meant?)" if near else ""


class BadValueError(SampleError):
    """One value breaks its column's rule."""

    def __init__(
        self, row: int, column: str, value: object, rule: str, where: str | None = None
    ) -> None:
        super().__init__(f"{where or f'row {row}'}, column {column}: {value} {rule}")
        self.row = row
        """Number of the row in its source; the first is 1."""
        self.where = where
        """Name of the row where it has a better one than its number, as a file's line."""
        self.column = column
        self.value = value
        self.rule = rule


class MissingColumnError(SampleError):
    """An estimator, or every evaluation, needs a column that is not there."""

    def __init__(self, column: str, needed_by: str, there: Sequence[str] = ()) -> None:
        text = f"column {column} is missing and {needed_by} needs it"
        super().__init__(
            f"{text}; there are {_listed(there)}{_near(column, there)}" if there else text
        )
        self.column = column
        self.needed_by = needed_by
        self.there = tuple(there)
        """The columns that are there, if it is known."""


class UnpairedError(SampleError):
    """Two samples to be compared do not hold the same interactions."""

    def __init__(self, column: str) -> None:
        super().__init__(
            f"the two samples differ in {column}, so they are not the same interactions"
        )
        self.column = column


class NoEstimateError(ReplayError):
    """The data allow no estimate at all."""


class EmptySampleError(NoEstimateError):
    """There is not one interaction."""

    def __init__(self, remedy: str = "") -> None:
        super().__init__(f"there are no interactions to evaluate{remedy}")


class NothingToReportError(EmptySampleError):
    """A log has no interactions yet."""

    def __init__(self) -> None:
        super().__init__(f": the log has none yet; {_MATURE}")


class NoOverlapError(NoEstimateError):
    """The target policy would have taken none of the logged actions."""

    def __init__(self, interactions: int) -> None:
        super().__init__(f"the target policy takes none of the {interactions} logged actions")
        self.interactions = interactions


class SettingError(ReplayError):
    """An evaluation is asked for in a way that makes no sense."""


class UnknownEstimatorError(SettingError):
    """No estimator has this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no estimator {name!r}; there are {', '.join(known)}")
        self.name = name
        self.known = tuple(known)


class UnknownDimensionError(SettingError):
    """Metrics cannot be told apart by this."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"metrics are told apart by {', '.join(known)}, not by {name!r}; "
            "for a feature of the request say --segment"
        )
        self.name = name
        self.known = tuple(known)


class LevelError(SettingError):
    """A confidence level is not between 0 and 1."""

    def __init__(self, level: float) -> None:
        super().__init__(f"a confidence level lies between 0 and 1, not at {level}")
        self.level = level


class BoundsError(SettingError):
    """The declared bounds of the reward hold nothing."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__(f"no reward lies between {low} and {high}")
        self.low = low
        self.high = high


class UndeclaredError(SettingError):
    """An interval rests on something that nobody has declared, or not rightly."""

    def __init__(self, method: str, needed: str) -> None:
        super().__init__(f"an interval by {method} needs {needed}")
        self.method = method
        self.needed = needed


class NoIntervalError(SettingError):
    """An estimator has no interval of the kind asked for."""

    def __init__(self, method: str, estimator: str, reason: str) -> None:
        super().__init__(f"there is no interval by {method} for {estimator}: {reason}")
        self.method = method
        self.estimator = estimator
        self.reason = reason


class MergeError(SettingError):
    """Two sets of statistics describe different things and cannot be merged."""

    def __init__(self, left: str, right: str) -> None:
        super().__init__(f"statistics of {left} and of {right} cannot be merged")
        self.left = left
        self.right = right


class TableError(ReplayError):
    """A table given for evaluation cannot be used."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class TableFormatError(TableError):
    """The file is absent, or neither readable Parquet nor readable CSV."""


class EmptyTableError(TableError):
    """The table has columns and no rows."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "the table has no rows")


class BadTableError(TableError):
    """A column or a row of the table breaks a rule of the sample."""

    def __init__(self, path: Path, cause: SampleError) -> None:
        super().__init__(path, str(cause))
        self.cause = cause


class NothingToLearnError(ReplayError):
    """A log has no interactions to train on."""

    def __init__(self) -> None:
        super().__init__(f"the log has no interactions to learn from: {_MATURE}")
