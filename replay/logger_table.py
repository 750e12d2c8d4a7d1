"""Moments of the weighted rewards for each of several loggers."""

import numpy as np

from replay.columns import WeightedReward
from replay.errors import BadValueError
from replay.moments import Moments
from replay.sample import Sample
from replay.statistics import Part

MOST_LOGGERS = 1000
"""More of them means that the column holds something else."""


class LoggerTable(Part):
    """Exact moments of w r, by logger."""

    def __init__(self) -> None:
        self.moments: dict[int, Moments] = {}

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
            self.moments.setdefault(logger, Moments(1)).add(scores[loggers == logger])

    def merge(self, other: "LoggerTable") -> None:
        """Take in what another one has seen."""
        for logger, moments in other.moments.items():
            self.moments.setdefault(logger, Moments(1)).merge(moments)
