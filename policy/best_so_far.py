"""The best so far, without context: a mean reward for each offer, channel and time of day.

What a careful marketer does with a spreadsheet, and so what a chain has to beat.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import log
from typing import NamedTuple

import numpy as np

from policy.catalog import NO_CHANNEL
from policy.chain import REWARD_MAX, Scale
from policy.errors import InvalidRewardError
from policy.exploration import Exploration
from policy.extent import Extent
from policy.policies import FloatArray
from policy.scores import Scores
from policy.situation import Path, Situation, Stage

PRIOR_INTERACTIONS = 30.0
"""A mean of so many interactions counts as much as what is believed without them."""
MIDDLE = 0.5
"""The share that is believed before anything was learned."""
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
    """Of the rewards; 0 before the first."""

    def plus(self, reward: float) -> "Tally":
        """With one more; the running mean of Knuth, TAOCP 2, section 4.2.2, loses no digits."""
        count = self.interactions + 1
        return Tally(count, self.mean + (reward - self.mean) / count)


class BestSoFar:
    """Values offers, channels and send windows by what they earned so far, whoever the subject is.

    Rewards count as shares of the way from the lowest to the highest so far. The share of a cell
    with n interactions of mean m is a credibility estimate (Bühlmann 1967; nested cells, Jewell
    1975)

        p = (n m + k p') / (n + k)

    where p' is the share of the next coarser cell and k is `PRIOR_INTERACTIONS`: a channel is held
    to be as good as its offer, and an offer as all together, until it shows otherwise. Cells are
    offers, then their channels; times of day, then their weekdays; not to send has no time. Of
    everything, p' is `MIDDLE` and k is 1.

    Taken for the mean of a beta distribution of n + k interactions, p has the variance
    p (1 - p) / (n + k + 1). By the delta method the log odds have the standard error
    1 / √((n + k + 1) p (1 - p)), here times `WIDENING` and, as for a chain, the root of the
    rewards' dispersion.
    """

    def __init__(
        self,
        version: str,
        exploration: Exploration,
        extent: Extent | None = None,
        tallies: Mapping[Cell, Tally] | None = None,
    ) -> None:
        """Makes a policy.

        Args:
            version: name under which decisions are logged.
            exploration: how scores become probabilities.
            extent: of all rewards that were learned before; of none if not given.
            tallies: what was learned before, by cell; nothing if not given.
        """
        self.version = version
        self.exploration = exploration
        self._extent = replace(extent or Extent())
        self._tallies = dict(tallies or {})

    @property
    def floor(self) -> float:
        """Share of each stage that is spread evenly."""
        return self.exploration.floor

    @property
    def extent(self) -> Extent:
        """Of all rewards that were learned."""
        return replace(self._extent)

    @property
    def tallies(self) -> Mapping[Cell, Tally]:
        """All that was learned, by cell; of everything, see `extent`."""
        return dict(self._tallies)

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        return self.exploration.pmf(self.scores(situation, path), self._extent.count)

    def values(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        return self._scale.reward(self._believed(situation, path).shares)

    def scores(self, situation: Situation, path: Path) -> Scores:
        """Log odds of the eligible actions after `path`, and their standard errors."""
        weights, shares = self._believed(situation, path)
        precisions = (weights + 1.0) * shares * (1.0 - shares)
        return Scores(_logits(shares), WIDENING * np.sqrt(self._scale.dispersion / precisions))

    def learn(self, situation: Situation, path: Path, reward: float) -> None:
        """Learns what the action at the end of a whole path earned.

        Raises:
            InvalidRewardError: if the reward is beyond ±`REWARD_MAX` or no number; nothing is
                learned.
        """
        if not abs(reward) <= REWARD_MAX:
            raise InvalidRewardError(reward)
        self._extent.add(reward, weights=1)
        for cell in _cells_of(situation, path):
            self._tallies[cell] = self._tallies.get(cell, Tally()).plus(reward)

    def close(self) -> None:
        """Holds nothing that would have to be freed."""

    @property
    def _scale(self) -> Scale:
        return self._extent.scale if self._extent.count else Scale(0.0, 1.0)

    def _believed(self, situation: Situation, path: Path) -> "_Believed":
        scale = self._scale
        found = [self._of_cell(cell, scale) for cell in cells(situation, path)]
        return _Believed(*np.asarray(found, dtype=np.float64).T)

    def _of_cell(self, cell: Cell, scale: Scale) -> tuple[float, float]:
        """The total weight n + k, and the share p."""
        if not cell:
            everything = Tally(self._extent.count, self._extent.mean)
            return _credible(everything, scale, MIDDLE, 1.0)
        _, prior = self._of_cell(cell[:-1], scale)
        return _credible(self._tallies.get(cell, Tally()), scale, prior, PRIOR_INTERACTIONS)


class _Believed(NamedTuple):
    """What is believed of some actions; arrays of shape (actions,)."""

    weights: FloatArray
    shares: FloatArray


def _logits(shares: FloatArray) -> FloatArray:
    # Not numpy's log: its last bits depend on the processor, and pmfs must not.
    return np.asarray([log(share / (1.0 - share)) for share in shares.tolist()])


def _credible(tally: Tally, scale: Scale, prior: float, weight: float) -> tuple[float, float]:
    count, total = tally.interactions, tally.interactions + weight
    return total, (count * scale.share(tally.mean) + weight * prior) / total


def cells(situation: Situation, path: Path) -> list[Cell]:
    """The cell of each eligible action after `path`, in the order of the tree."""
    names = situation.names(path)
    if not path:
        return [(f"offer={name}",) for name in names]
    if len(path) == Stage.CHANNEL:
        offer = situation.tree[path[0]].offer
        return [(f"offer={offer}", f"channel={name}") for name in names]
    if situation.tree[path[0]].channels[path[1]].channel == NO_CHANNEL:  # it has no time
        return [cells(situation, path[: Stage.CHANNEL])[path[1]]]
    minutes = situation.grid.local_minutes
    return [_window(minutes[window]) for window in situation.windows(path)]


def _window(local_minute: int) -> Cell:
    day, minute = divmod(local_minute, _DAY_MINUTES)
    return f"minute={minute}", f"day={day}"


def _cells_of(situation: Situation, path: Path) -> Iterable[Cell]:
    """Every cell that an action belongs to, but for the one of everything."""
    channel, window = (
        cells(situation, path[:stage])[path[stage]] for stage in (Stage.CHANNEL, Stage.SEND_TIME)
    )
    return {channel[:1], channel, window[:1], window}
