"""The best so far, without context: a mean reward for each offer, channel and time of day.

What a careful marketer does with a spreadsheet, and so what a chain has to beat.
"""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import NamedTuple

import numpy as np
from scipy.special import logit

from policy.chain import Scale
from policy.errors import InvalidRewardError
from policy.exploration import Exploration
from policy.policies import FloatArray
from policy.scores import Scores
from policy.situation import Path, Situation, Stage

PRIOR_INTERACTIONS = 30.0
"""A mean of so many interactions counts as much as what is believed without them."""
UNKNOWN = 0.5
"""The share before anything was learned; it counts as much as one interaction."""
WIDENING = 3.0
"""Standard errors are multiplied by it: the default `error_scale` is made for a regression, whose
errors are too large by about that, and those of means are not."""
_DAY_MINUTES = 1440

Cell = tuple[str, ...]
"""What a mean is about, from the coarse to the fine: () is everything."""


class Tally(NamedTuple):
    """What was earned in a cell."""

    interactions: int = 0
    mean: float = 0.0
    """Of the rewards as shares of their scale, 0 to 1; 0 before the first."""

    def plus(self, share: float) -> "Tally":
        """With one more; the running mean of Knuth, TAOCP 2, section 4.2.2, loses no digits."""
        count = self.interactions + 1
        return Tally(count, self.mean + (share - self.mean) / count)


class BestSoFar:
    """Values offers, channels and send windows by what they earned so far, whoever the subject is.

    Rewards count as shares of their scale. The share of a cell with n interactions of mean m is a
    credibility estimate (Bühlmann 1967; nested cells, Jewell 1975)

        p = (n m + k p') / (n + k)

    where p' is the share of the next coarser cell and k is `PRIOR_INTERACTIONS`: a channel is held
    to be as good as its offer, and an offer as all together, until it shows otherwise. Cells are
    offers, then their channels; times of day, then their weekdays. Of everything, p' is `UNKNOWN`
    and k is 1.

    Taken as the mean of a beta distribution of n + k interactions, p has the variance
    p (1 - p) / (n + k + 1), and by the delta method its log odds have the standard error
    1 / √((n + k + 1) p (1 - p)), here times `WIDENING`.
    """

    def __init__(
        self,
        version: str,
        exploration: Exploration,
        scale: Scale,
        tallies: Mapping[Cell, Tally] | None = None,
    ) -> None:
        """Makes a policy.

        Args:
            version: name under which decisions are logged.
            exploration: how scores become probabilities.
            scale: of the rewards; what lies outside counts as the nearest end.
            tallies: what was learned before, by cell; nothing if not given.
        """
        self.version = version
        self.exploration = exploration
        self.scale = scale
        self._tallies = dict(tallies or {})

    @property
    def floor(self) -> float:
        """Share of each stage that is spread evenly."""
        return self.exploration.floor

    @property
    def interactions(self) -> int:
        """How many it learned from."""
        return self._tally(()).interactions

    @property
    def tallies(self) -> Mapping[Cell, Tally]:
        """All that was learned."""
        return dict(self._tallies)

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        return self.exploration.pmf(self.scores(situation, path), self.interactions)

    def values(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        return self.scale.reward(self.scores(situation, path).shares)

    def scores(self, situation: Situation, path: Path) -> Scores:
        """Log odds of the eligible actions after `path`, and their standard errors."""
        believed = [self._believed(cell) for cell in cells(situation, path)]
        weights, shares = np.asarray(believed, dtype=np.float64).T
        errors = WIDENING / np.sqrt((weights + 1.0) * shares * (1.0 - shares))
        return Scores(logit(shares), errors)

    def learn(self, situation: Situation, path: Path, reward: float) -> None:
        """Learns what the action at the end of a whole path earned.

        Raises:
            InvalidRewardError: if the reward is not finite; nothing is learned.
        """
        if not isfinite(reward):
            raise InvalidRewardError(reward)
        share = self.scale.share(reward)
        for cell in _cells_of(situation, path):
            self._tallies[cell] = self._tally(cell).plus(share)

    def close(self) -> None:
        """Holds nothing that would have to be freed."""

    def _tally(self, cell: Cell) -> Tally:
        return self._tallies.get(cell, Tally())

    def _believed(self, cell: Cell) -> tuple[float, float]:
        """n + k and p of a cell."""
        count, mean = self._tally(cell)
        prior, weight = UNKNOWN, 1.0
        if cell:
            prior, weight = self._believed(cell[:-1])[1], PRIOR_INTERACTIONS
        return count + weight, (count * mean + weight * prior) / (count + weight)


def cells(situation: Situation, path: Path) -> list[Cell]:
    """The cell of each eligible action after `path`, in the order of the tree."""
    names = situation.names(path)
    if not path:
        return [(f"offer={name}",) for name in names]
    if len(path) == Stage.CHANNEL:
        offer = situation.tree[path[0]].offer
        return [(f"offer={offer}", f"channel={name}") for name in names]
    minutes = situation.grid.local_minutes
    return [_window(minutes[window]) for window in situation.windows(path)]


def _window(local_minute: int) -> Cell:
    day, minute = divmod(local_minute, _DAY_MINUTES)
    return f"minute={minute}", f"day={day}"


def _cells_of(situation: Situation, path: Path) -> Iterable[Cell]:
    """Every cell that an action belongs to."""
    channel, window = (
        cells(situation, path[:stage])[path[stage]] for stage in (Stage.CHANNEL, Stage.SEND_TIME)
    )
    return (), channel[:1], channel, window[:1], window
