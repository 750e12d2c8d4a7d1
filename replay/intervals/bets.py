"""Bets on the value of a policy, row by row: what a confidence sequence of it rests on."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from replay.errors import MergeError, NoIntervalError, UndeclaredError
from replay.intervals.bounded import form_of
from replay.intervals.sequence import Bet, lower_bound
from replay.intervals.settings import IntervalSettings, Method
from replay.sample import Sample
from replay.sums import Floats

_NOT_BY_ROWS = {
    "balanced_ips": "its weights have the policy's value as their mean only over all loggers "
    "together, while a sequence needs it of each row; weighted_ips has one"
}
"""Estimators of which a row alone says nothing, and why."""


class Bets(ABC):
    """Bets against too small and against too large values, in rewards scaled to [0, 1].

    They assume that each choice was drawn with its logged probability, whatever came before it, and
    hold the mean over the rows of what the target policy was expected to earn at each: neither
    contexts nor policies need stay the same, and rows of a subject may depend on each other.
    """

    lowest: ClassVar[float] = 0.0
    """What the scaled value cannot be below."""

    def __init__(self, settings: IntervalSettings, below: tuple[float, ...]) -> None:
        """Nothing staked yet.

        Args:
            settings: With bounds.
            below: For each bet, how far below 0 its terms can lie.
        """
        self.settings = settings
        self.lower = [Bet(one) for one in below]
        self.upper = [Bet(one) for one in below]

    def stake(self, lower: list[Floats], upper: list[Floats]) -> None:
        """Take in the next rows' terms of each bet: for the value, and for its mirror image."""
        self.lower = [bet.after(terms) for bet, terms in zip(self.lower, lower, strict=True)]
        self.upper = [bet.after(terms) for bet, terms in zip(self.upper, upper, strict=True)]

    def merge(self, following: Self) -> None:
        """Take in rows that come after these; see `Bet.merge`.

        Raises:
            MergeError: The other bets are of another form.
        """
        if following.settings != self.settings or type(following) is not type(self):
            raise MergeError(str(self.settings), str(following.settings))
        pairs = (self.lower, following.lower), (self.upper, following.upper)
        self.lower, self.upper = (
            [mine.merge(theirs) for mine, theirs in zip(*pair, strict=True)] for pair in pairs
        )

    def interval(self, level: float) -> tuple[float, float]:
        """Both ends, each of which misses with half of the chance, at whichever row one looks.

        Raises:
            LevelError: The level is not between 0 and 1.
        """
        side = (1 + level) / 2
        low, high = (lower_bound(bets, side, self.lowest) for bets in (self.lower, self.upper))
        return self._scaled(low), self._scaled(self._mirrored(high))

    @abstractmethod
    def _scaled(self, value: float) -> float:
        """A scaled value in units of the reward."""

    @abstractmethod
    def _mirrored(self, bound: float) -> float:
        """The upper bound that a lower bound of the mirrored terms says."""

    def _share(self, reward: Floats) -> Floats:
        """Rewards scaled to [0, 1]."""
        bounds = self.settings.bounds
        return (reward - bounds.low) / ((bounds.high - bounds.low) or 1.0)


class ValueBets(Bets):
    """Bets on the value of one policy.

    The weighted reward w r is 0 or more, and so is w (1 - r), whose mean is 1 less the value since
    weights have mean 1: each bounds one side, and no weight need be bounded (Waudby-Smith and
    others 2022, section 3; Thomas, Theocharous and Ghavamzadeh 2015). Where a largest weight W is
    declared, a second bet is made on w (r - c) + c, with c the weighted mean of the rows before: it
    varies less, and reaches down to 1 - W. Of modelled values v + w (r - q) there is that kind
    alone.
    """

    def __init__(self, estimator: str, settings: IntervalSettings) -> None:
        """Nothing staked yet.

        Raises:
            NoIntervalError: The value is not the mean of what each row alone says.
            UndeclaredError: A largest weight has to be declared.
        """
        method = Method.SEQUENCE.value
        if estimator in _NOT_BY_ROWS:
            raise NoIntervalError(method, estimator, _NOT_BY_ROWS[estimator])
        self._form, most = form_of(estimator), settings.max_weight
        if self._form.beyond and not np.isfinite(most):
            raise UndeclaredError(f"{method} of {estimator}", "a largest weight (--max-weight)")
        if self._form.beyond is None:
            super().__init__(settings, (0.0, *((most - 1,) if np.isfinite(most) else ())))
        else:
            super().__init__(settings, (self._form.beyond and self._form.beyond * most,))
        self._centre = Centre()

    def add(self, sample: Sample) -> None:
        """Take in the next rows."""
        if self._form.beyond is not None:
            value = self._share(self._form.numerator.of(sample))
            self.stake([value], [1 - value])
            return
        assert self._form.weight is not None  # noqa: S101 - of a weighted reward
        weight, reward = self._form.weight.of(sample), self._share(sample.reward)
        lower, upper = [weight * reward], [weight * (1 - reward)]
        if len(self.lower) > 1:
            centre, self._centre = self._centre.before(weight, reward)
            value = weight * (reward - centre) + centre
            lower, upper = [*lower, value], [*upper, 1 - value]
        self.stake(lower, upper)

    def _scaled(self, value: float) -> float:
        bounds = self.settings.bounds
        return bounds.low + value * (bounds.high - bounds.low)

    def _mirrored(self, bound: float) -> float:
        return 1 - bound


class DifferenceBets(Bets):
    """Bets on the value of one policy less that of another, on the same rows.

    With w and u their weights, w r + u (1 - r) is 0 or more, and its mean is 1 more than the
    difference, since weights have mean 1; so is w (1 - r) + u r, for minus the difference: no
    weight need be bounded. Where a largest one is declared, a second bet is made on (w - u) (r - c)
    with c the mean reward of the rows before, which varies less.
    """

    lowest = -1.0

    def __init__(self, settings: IntervalSettings) -> None:
        """Nothing staked yet.

        Args:
            settings: With bounds; a largest weight is that of either policy.
        """
        most = settings.max_weight
        super().__init__(settings, (1.0, *((most,) if np.isfinite(most) else ())))
        self._centre = Centre()

    def add(self, candidate: Sample, baseline: Sample) -> None:
        """Take in the next rows."""
        mine, other, reward = candidate.weight, baseline.weight, self._share(candidate.reward)
        lower = [mine * reward + other * (1 - reward) - 1]
        upper = [mine * (1 - reward) + other * reward - 1]
        if len(self.lower) > 1:
            centre, self._centre = self._centre.before(np.ones_like(reward), reward)
            value = (mine - other) * (reward - centre)
            lower, upper = [*lower, value], [*upper, -value]
        self.stake(lower, upper)

    def _scaled(self, value: float) -> float:
        return value * (self.settings.bounds.high - self.settings.bounds.low)

    def _mirrored(self, bound: float) -> float:
        return -bound


@dataclass(frozen=True, slots=True)
class Centre:
    """Weighted mean of the scaled rewards so far, begun with half a reward of weight 1."""

    weight: float = 1.0
    total: float = 0.5

    def before(self, weight: Floats, reward: Floats) -> tuple[Floats, "Centre"]:
        """The mean before each of the next rows, and after them all."""
        weights = np.concatenate(([self.weight], self.weight + np.cumsum(weight)))
        totals = np.concatenate(([self.total], self.total + np.cumsum(weight * reward)))
        after = replace(self, weight=float(weights[-1]), total=float(totals[-1]))
        return totals[:-1] / weights[:-1], after
