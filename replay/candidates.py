"""Students that learn the same with different caution: which one to keep is for the log to say."""

from collections.abc import Sequence

import numpy as np

from policy.crosses import DEFAULT, Crosses
from policy.examples import Example
from policy.exploration import Exploration
from policy.extent import Extent
from policy.learning import Student

CAUTIONS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""By these factors the students' steps are smaller than usual: steps that fit one log are too large
for another."""
FIRST_LOOK = 1024
"""Interactions before the students are compared; then again each time their number has doubled."""
BEATEN_ERRORS = 3.0
"""A student whose loss is larger than another's by so many standard errors learns no more."""
EQUAL_ERRORS = 1.0
"""One whose loss is larger by no more may be as good."""


class Candidates:
    """Learns everything several times over, and foresees it each time before.

    What was foreseen tells how good a student is, without any interactions set aside (progressive
    validation; Blum, Kalai and Langford 1999). Only the later part of the log counts, since the
    beginning tells who is quick, not who is right. Those that are clearly behind give up early
    (racing; Maron and Moore 1994).
    """

    def __init__(
        self, exploration: Exploration, extent: Extent, crosses: Crosses = DEFAULT
    ) -> None:
        """Makes students that know nothing.

        Args:
            exploration: of the chain.
            extent: of all that is to be learned.
            crosses: what the chain crosses.
        """
        self._students = {
            caution: Student(exploration, extent.scale, extent.terms, caution, crosses=crosses)
            for caution in CAUTIONS
        }
        self._racing = list(CAUTIONS)
        self._seen, self._next = 0, FIRST_LOOK
        self._before, self._now = Losses(len(CAUTIONS)), Losses(len(CAUTIONS))

    def learn(self, example: Example, reward: float) -> None:
        """Learns from an interaction."""
        students = self._students
        self._now.add(
            [students[caution].learn_example(example, reward) for caution in self._racing]
        )
        self._seen += 1
        if self._seen == self._next:
            self._look()

    def best(self) -> tuple[Student, float]:
        """The student to keep, and its caution.

        It is the most cautious of those that foresaw no worse than the best one, as far as can be
        told (the rule of one standard error; Breiman et al. 1984, section 3.4.3).
        """
        losses = self._before + self._now
        equal = losses.within(EQUAL_ERRORS)
        caution = max(self._racing[place] for place in equal)
        return self._students[caution], caution

    def close(self) -> None:
        """Frees all of them."""
        for student in self._students.values():
            student.close()

    def _look(self) -> None:
        """Sends home who is beaten; what was foreseen before the last look counts no more."""
        kept = self._now.within(BEATEN_ERRORS)
        self._racing = [self._racing[place] for place in kept]
        self._before, self._now = self._now.only(kept), Losses(len(kept))
        self._next *= 2


class Losses:
    """Sums that tell how the mean losses of several students differ, and how surely."""

    def __init__(self, size: int) -> None:
        """Begins with nothing.

        Args:
            size: how many students.
        """
        self.count = 0
        self.sums = np.zeros(size)
        self.products = np.zeros((size, size))

    def add(self, losses: Sequence[float]) -> None:
        """Takes in what each lost on one interaction."""
        each = np.asarray(losses)
        self.count += 1
        self.sums += each
        self.products += each[:, None] * each

    def __add__(self, other: "Losses") -> "Losses":
        both = Losses(len(self.sums))
        both.count = self.count + other.count
        both.sums = self.sums + other.sums
        both.products = self.products + other.products
        return both

    def only(self, places: Sequence[int]) -> "Losses":
        """Those of some students."""
        some = Losses(len(places))
        some.count = self.count
        some.sums = self.sums[places]
        some.products = self.products[np.ix_(places, places)]
        return some

    def within(self, errors: float) -> list[int]:
        """Places of those whose mean is above the least one by at most so many standard errors."""
        best = int(self.sums.argmin())
        own = self.products.diagonal()
        squares = own - 2.0 * self.products[best] + self.products[best, best]
        differences = (self.sums - self.sums[best]) / self.count
        variances = np.maximum(squares / self.count - differences**2, 0.0)
        return np.flatnonzero(differences <= errors * np.sqrt(variances / self.count)).tolist()
