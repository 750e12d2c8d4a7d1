"""What the weighted rewards of each of several loggers add up to, by subject as well."""

import numpy as np

from replay.columns import WeightedReward
from replay.errors import BadValueError
from replay.intervals.units import dealt
from replay.moments import Moments
from replay.sample import Ints, Sample
from replay.statistics import Part
from replay.sums import Floats

MOST_LOGGERS = 1000
"""More of them means that the column holds something else."""
GROUPS = 2**13
"""Subjects are put into so many groups, since each logger has sums of its own. Sums over
independent subjects are independent as well; so many leave 0.8% of error in a standard error."""


class LoggerTable(Part):
    """Exact moments of w r by logger and, where subjects are known, sums by group of them."""

    def __init__(self) -> None:
        self.moments: dict[int, Moments] = {}
        self.groups: dict[int, Floats] = {}
        """Rows, and sums of w r, by group of subjects; shape (2, GROUPS) each."""

    def add(self, sample: Sample) -> None:
        """Take in a chunk of interactions.

        Raises:
            MissingColumnError: The sample does not say who logged it.
            BadValueError: There are too many loggers.
        """
        loggers = sample.require("logger", "weighted_ips")
        scores = WeightedReward().of(sample)
        found, firsts = np.unique(loggers, return_index=True)
        for logger, first in zip(found.tolist(), firsts.tolist(), strict=True):
            if logger not in self.moments and len(self.moments) == MOST_LOGGERS:
                rule = f"is one logger more than {MOST_LOGGERS:,}, the most that can be told apart"
                raise BadValueError(sample.first_row + first, "logger", logger, rule)
            mine = loggers == logger
            self.moments.setdefault(logger, Moments(1)).add(scores[mine])
            if sample.subject is not None:
                self._add_groups(logger, _by_group(sample.subject[mine], scores[mine]))

    def merge(self, other: "LoggerTable") -> None:
        """Take in what another one has seen."""
        for logger, moments in other.moments.items():
            self.moments.setdefault(logger, Moments(1)).merge(moments)
        for logger, sums in other.groups.items():
            self._add_groups(logger, sums)

    def _add_groups(self, logger: int, sums: Floats) -> None:
        self.groups[logger] = self.groups[logger] + sums if logger in self.groups else sums


def _by_group(subjects: Ints, scores: Floats) -> Floats:
    groups = dealt(subjects, GROUPS)
    return np.stack([np.bincount(groups, of, GROUPS) for of in (np.ones(scores.size), scores)])
