"""Sums of metrics by group, kept in random groups of subjects: clustered intervals in one pass.

Subjects are dealt into `BUCKETS` by their pseudonym, a keyed hash. Sums by bucket are independent
of each other, however often a subject comes, and their spread tells the error of a ratio of sums
(the method of random groups: Wolter 2007, "Introduction to Variance Estimation", chapter 2).
"""

import math
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from copy import copy
from heapq import nsmallest
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from replay.metrics.dimensions import GROUPS_MAX, OTHERS
from replay.subjects import Subjects
from replay.sums import Floats

BUCKETS = 256


class Ratio:
    """A ratio of two sums with its error, from their parts by bucket."""

    def __init__(self, tops: Floats, bottoms: Floats) -> None:
        """Takes both, shape (buckets,)."""
        self.tops = tops
        self.bottoms = bottoms
        self.bottom = float(bottoms.sum())
        self.value = float(tops.sum()) / self.bottom if self.bottom else math.nan
        self.filled = int(np.count_nonzero(bottoms))

    @property
    def error(self) -> float:
        """Standard error of the ratio (linearised); infinite of a single bucket."""
        if self.filled < 2:  # noqa: PLR2004 - one says nothing about spread
            return math.inf
        residuals = self.tops - self.value * self.bottoms
        square = float((residuals**2).sum()) * self.filled / (self.filled - 1)
        return math.sqrt(square) / self.bottom

    def interval(self, level: float) -> tuple[float, float]:
        """Student's t with a degree of freedom for each bucket but one."""
        half = self.quantile(level) * self.error
        return self.value - half, self.value + half

    @property
    def units(self) -> float:
        """Effective number of subjects, (sum of b)^2 / sum of b^2 over subjects (Kish 1965).

        Subjects are dealt at random, so that the sum of squares of their bottoms shows in those of
        the buckets: it is K / (K - 1) times their squared distances from their mean, on average.
        """
        square = float(((self.bottoms - self.bottoms.mean()) ** 2).sum())
        square *= BUCKETS / (BUCKETS - 1)
        return self.bottom**2 / square if square > 0 else math.inf

    def share_interval(self, level: float, rows: float) -> tuple[float, float]:
        """The same for a share: Wilson's interval, of as many rows as its error is worth.

        The error of a share of 0 or 1 cannot be seen. Then each subject counts once, whatever its
        weight and however often it came: all its rows may have gone the same way.

        Args:
            level: confidence level.
            rows: their effective number, the most that the share can be worth.
        """
        if self.filled < 2:  # noqa: PLR2004 - one says nothing about spread
            return 0.0, 1.0
        p, z, error = self.value, self.quantile(level), self.error
        is_seen = 0 < p < 1 and error > 0
        worth = min(p * (1 - p) / error**2 if is_seen else self.units, rows)
        centre = (p + z**2 / (2 * worth)) / (1 + z**2 / worth)
        half = (
            z
            / (1 + z**2 / worth)
            * math.sqrt(max(p * (1 - p), 0.0) / worth + z**2 / (4 * worth**2))
        )
        return max(min(centre - half, p), 0.0), min(max(centre + half, p), 1.0)

    def quantile(self, level: float) -> float:
        """Two-sided quantile of Student's t."""
        return float(stdtrit(self.filled - 1, (1 + level) / 2)) if self.filled > 1 else math.inf


class Cells:
    """Sums of one dimension: of each metric, by group and bucket.

    Of more groups than `GROUPS_MAX` those stay whose names come first by a hash, and the others are
    one: so a group that is named has all its rows, whatever the order and the parts they came in.
    """

    def __init__(self, metrics: int) -> None:
        self.codes: dict[str, int] = {}
        self.sums = np.zeros((2, metrics, 0, BUCKETS))
        """Tops and bottoms; shape (2, metrics, groups, buckets)."""
        self.squares = np.zeros((metrics, 0))
        """Sums of the rows' squared bottoms; shape (metrics, groups)."""
        self.rows: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.subjects: list[Subjects] = []

    def add(
        self, groups: Sequence[str], keys: NDArray[np.uint64], tops: Floats, bottoms: Floats
    ) -> None:
        """Takes in rows.

        Args:
            groups: of each row.
            keys: of each row's subject.
            tops: shape (metrics, rows).
            bottoms: the same.
        """
        self._admit(groups)
        codes = np.asarray([self._code(group) for group in groups], dtype=np.int64)
        size = len(self.codes)
        flat = codes * BUCKETS + (keys % BUCKETS).astype(np.int64)
        for sums, columns in zip(self.sums, (tops, bottoms), strict=True):
            for metric, column in enumerate(columns):
                counted = np.bincount(flat, column, size * BUCKETS)
                sums[metric] += counted.reshape(size, BUCKETS)
        for metric, column in enumerate(bottoms):
            self.squares[metric] += np.bincount(codes, column**2, size)
        self.rows += np.bincount(codes, minlength=size)
        for code in np.unique(codes):
            self.subjects[code].add(keys[codes == code])

    def merge(self, other: "Cells") -> None:
        """Takes in another's rows."""
        self._admit(other.codes)
        for group in other.codes:
            self._take(group, other)

    def ratio(self, group: str, metric: int) -> Ratio:
        """A metric of a group."""
        code = self.codes[group]
        return Ratio(self.sums[0, metric, code], self.sums[1, metric, code])

    def size(self, group: str, metric: int) -> float:
        """Effective rows of a metric of a group, (sum of b)^2 / sum of b^2 (Kish 1965)."""
        code = self.codes[group]
        total, square = self.sums[1, metric, code].sum(), self.squares[metric, code]
        return float(total**2 / square) if square > 0 else 0.0

    def per_subject(self, group: str, metric: int) -> Ratio:
        """A metric's sum for each subject of a group in place of each row."""
        code = self.codes[group]
        return Ratio(self.sums[0, metric, code], self.subjects[code].by_bucket(BUCKETS))

    def _code(self, group: str) -> int:
        return self.codes[group if group in self.codes else OTHERS]

    def _take(self, group: str, source: "Cells") -> None:
        """Adds a group's sums to those of its place here."""
        place, code = self._code(group), source.codes[group]
        self.sums[:, :, place] += source.sums[:, :, code]
        self.squares[:, place] += source.squares[:, code]
        self.rows[place] += source.rows[code]
        self.subjects[place].merge(source.subjects[code])

    def _admit(self, groups: Iterable[str]) -> None:
        """Makes room for groups; where they are too many, the last by lot lose theirs."""
        named = dict.fromkeys((*self.codes, *groups))
        if len(named.keys() - {OTHERS}) > GROUPS_MAX:
            kept = nsmallest(GROUPS_MAX, named.keys() - {OTHERS}, key=_lot)
            self._fold(self.codes.keys() - {*kept, OTHERS})
            named = dict.fromkeys((*self.codes, *kept, OTHERS))
        for group in named:
            self.codes.setdefault(group, len(self.codes))
        self._grow()

    def _fold(self, groups: AbstractSet[str]) -> None:
        """Puts groups in with the others."""
        if not groups:
            return
        before = copy(self)
        stay = [group for group in self.codes if group not in groups]
        places = [self.codes[group] for group in stay]
        self.codes = {group: code for code, group in enumerate(stay)}
        self.sums = before.sums[:, :, places]
        self.squares = before.squares[:, places]
        self.rows = before.rows[places]
        self.subjects = [before.subjects[place] for place in places]
        self.codes.setdefault(OTHERS, len(self.codes))
        self._grow()
        for group in sorted(groups):
            self._take(group, before)

    def _grow(self) -> None:
        more = len(self.codes) - self.rows.size
        if more:
            self.sums = np.pad(self.sums, ((0, 0), (0, 0), (0, more), (0, 0)))
            self.squares = np.pad(self.squares, ((0, 0), (0, more)))
            self.rows = np.pad(self.rows, (0, more))
            self.subjects += [Subjects() for _ in range(more)]


def _lot(group: str) -> tuple[int, str]:
    """The same for a name wherever it is met, and no matter what it means."""
    return crc32(group.encode()), group
