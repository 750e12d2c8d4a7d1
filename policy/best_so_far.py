"""The best so far, without context: a mean reward for each offer, channel and time of day.

What a careful marketer does with a spreadsheet, and so what a chain has to beat.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from policy.errors import InvalidRewardError
from policy.exploration import Exploration
from policy.policies import FloatArray
from policy.situation import Path, Situation, Stage
from policy.vw import REWARD_MAX

PRIOR_INTERACTIONS = 30.0
"""A mean of so many interactions counts as much as what is believed without them."""
_DAY_MINUTES = 1440

Cell = tuple[str, ...]
"""What a mean is about, from the coarse to the fine: () is everything."""


class Tally(NamedTuple):
    """What was earned in a cell."""

    interactions: int = 0
    mean: float = 0.0
    """In units of reward; 0 before the first."""

    def plus(self, reward: float) -> "Tally":
        """With one more; the running mean of Knuth, TAOCP 2, section 4.2.2, loses no digits."""
        count = self.interactions + 1
        return Tally(count, self.mean + (reward - self.mean) / count)


class BestSoFar:
    """Values offers, channels and send windows by what they earned so far, whoever the subject is.

    The value of a cell with n interactions of mean reward m is a credibility estimate (Bühlmann
    1967; nested cells, Jewell 1975)

        v = (n m + k v') / (n + k)

    where v' is the value of the next coarser cell and k is `PRIOR_INTERACTIONS`: a channel is held
    to be as good as its offer, and an offer as all together, until it shows otherwise. Cells are
    offers, then their channels; times of day, then their weekdays. The value of everything is its
    plain mean, 0 before anything was learned.
    """

    def __init__(
        self, version: str, exploration: Exploration, tallies: Mapping[Cell, Tally] | None = None
    ) -> None:
        """Makes a policy.

        Args:
            version: name under which decisions are logged.
            exploration: how values become probabilities.
            tallies: what was learned before, by cell; nothing if not given.
        """
        self.version = version
        self.exploration = exploration
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
        return self.exploration.pmf(self.values(situation, path), self.interactions)

    def values(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        return np.asarray([self._value(cell) for cell in cells(situation, path)], dtype=np.float64)

    def learn(self, situation: Situation, path: Path, reward: float) -> None:
        """Learns what the action at the end of a whole path earned.

        Raises:
            InvalidRewardError: if the reward is no number, or beyond ±`REWARD_MAX`.
        """
        if not abs(reward) <= REWARD_MAX:
            raise InvalidRewardError(reward)
        for cell in _cells_of(situation, path):
            self._tallies[cell] = self._tally(cell).plus(reward)

    def close(self) -> None:
        """Holds nothing that would have to be freed."""

    def _tally(self, cell: Cell) -> Tally:
        return self._tallies.get(cell, Tally())

    def _value(self, cell: Cell) -> float:
        count, mean = self._tally(cell)
        if not cell:
            return mean
        prior = PRIOR_INTERACTIONS * self._value(cell[:-1])
        return (count * mean + prior) / (count + PRIOR_INTERACTIONS)


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
