"""Confidence sequences: intervals that hold at every row at once, so that one may peek."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.special import gammainc, ndtr

from replay.intervals.quantiles import check_level
from replay.sums import Floats

_PRECISIONS = (10.0, 1e3, 1e5)
"""Parameters of the mixed gamma priors: tight for few, for thousands and for millions of rows."""

_SMALL = 0.01
"""Below it x - log(1 + x) is a series, since x and its logarithm cancel."""

_X_LESS_LOG = tuple((-1.0) ** power / power for power in range(10, 1, -1))
"""Coefficients of (x - log(1 + x)) / x^2, highest power first."""

_STIRLING = (-691 / 360_360, 1 / 1_188, -1 / 1_680, 1 / 1_260, -1 / 360, 1 / 12)
"""Coefficients of Stirling's series in 1 / a^2, times a; highest power first."""

_LARGE = 1e9
"""From here on the incomplete gamma function is expanded, to some thirteen digits."""

_START = 0.5
"""Prediction before the first term."""


@dataclass(frozen=True, slots=True)
class Wager:
    """What has been won against a mean so far, of terms of 0 or more whose mean is 1 at most."""

    count: int = 0
    total: float = 0.0
    variance: float = 0.0
    """Sum of squared distances of the terms from what was predicted before each."""

    def after(self, terms: Floats) -> "Wager":
        """With further terms, in the order of the rows."""
        if not terms.size:
            return self
        _, variances = self.course(terms)
        return Wager(
            self.count + int(terms.size), self.total + float(terms.sum()), float(variances[-1])
        )

    def course(self, terms: Floats) -> tuple[Floats, Floats]:
        """Total and variance after each further term."""
        totals = self.total + np.cumsum(terms)
        before = np.concatenate(([self.total], totals[:-1]))
        counts = self.count + np.arange(terms.size)
        predicted = np.clip((before + _START) / (counts + 1), 0.0, 1.0)
        return totals, self.variance + np.cumsum((terms - predicted) ** 2)


def log_capital(gain: Floats | float, variance: Floats | float) -> Floats:
    """Logarithm of the capital of one who bets that terms have a larger mean.

    For terms x >= 0 and predictions p <= 1 made before each, exp(l (x - mean) - (-log(1-l) - l) (x
    - p)^2) multiplies up to a supermartingale for each l in [0, 1) (Fan, Grama and Liu 2015). Mixed
    over a gamma density of 1 - l truncated to (0, 1), with parameter q, it is

        q^q / gamma(q, q) * exp(S + V) * z^-(V + q) * gamma(V + q, z),   z = S + V + q,

    S the sum of x - mean and V that of (x - p)^2 (Howard, Ramdas, McAuliffe and Sekhon 2021,
    "Time-uniform, nonparametric, nonasymptotic confidence sequences", proposition 9;
    Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro 2022, "Anytime-valid off-policy
    inference for contextual bandits", section 3). The mean of several is as good a capital.

    Args:
        gain: S, 0 or more.
        variance: V.
    """
    precisions, masses = _priors(np.ndim(variance))
    mixed = _log_scaled_gamma(variance + precisions, gain) - masses
    return np.asarray(np.logaddexp.reduce(mixed, axis=0) - math.log(len(_PRECISIONS)))


@cache
def _priors(dimensions: int) -> tuple[Floats, Floats]:
    """Their parameters, and the logarithm of the mass of each before the first term."""
    precisions = np.reshape(_PRECISIONS, (-1, *[1] * dimensions))
    return precisions, _log_scaled_gamma(precisions, 0.0)


def _log_scaled_gamma(shape: Floats, gain: Floats | float) -> Floats:
    """Logarithm of exp(z) z^-a gamma(a, z), with a the shape, 10 or more, and z = a + gain.

    All terms of the size of a log(a) have cancelled on paper: one heavy weight makes a of 1e16 or
    more, of which float64 would leave nothing. With Stirling's series d(a) for log gamma(a) it is
    a (x - log(1 + x)) + log(2 pi / a) / 2 + d(a) + log P(a, z), x = gain / a.
    """
    x = gain / shape
    exponent = shape * np.where(x < _SMALL, x * x * np.polyval(_X_LESS_LOG, x), x - np.log1p(x))
    stirling = np.polyval(_STIRLING, 1 / (shape * shape)) / shape
    smooth = exponent + np.log(2 * np.pi / shape) / 2 + stirling
    return np.asarray(smooth + _log_p(shape, x, exponent))


def _log_p(shape: Floats, x: Floats, exponent: Floats) -> Floats:
    """Logarithm of the regularised lower incomplete gamma function P(a, a (1 + x)), x >= 0.

    For large a by Temme's uniform expansion (1979, "The asymptotic expansion of the incomplete
    gamma functions", SIAM J. Math. Anal. 10), of which the first term leaves an error of a^-1.5.
    """
    tail = np.exp(-exponent) / (3 * np.sqrt(2 * np.pi * shape))
    expanded = ndtr(np.sqrt(2 * exponent)) + tail
    usual = np.minimum(shape, _LARGE)
    exact = gammainc(usual, usual * (1 + x))
    return np.asarray(np.log(np.where(shape > _LARGE, expanded, exact)))


def lower_bound(bets: Sequence["Bet"], level: float, lowest: float = 0.0) -> float:
    """The least mean that nobody has won enough money against.

    The capital of several bets is their average, which grows where either does. By Ville's
    inequality it reaches 1 / (1 - level) against the true mean with a chance of at most 1 - level,
    at whichever row one stops, so that the bound holds at all rows at once.

    Args:
        bets: On the same mean.
        level: Confidence of this one side, above 0 and below 1.
        lowest: What the mean cannot be below; it cannot be above 1.

    Raises:
        LevelError: The level is not between 0 and 1.
    """
    check_level(level)
    limit = math.log(len(bets)) - math.log1p(-level)

    def surplus(mean: float) -> float:
        return float(np.logaddexp.reduce([bet.log_capital(mean) for bet in bets])) - limit

    if surplus(lowest) <= 0:
        return lowest
    if surplus(1.0) >= 0:
        return 1.0
    return _crossing(surplus, lowest, 1.0)


def _crossing(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function, which may be minus infinity, crosses 0; halved to the last bit."""
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return low
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)


@dataclass(frozen=True, slots=True)
class Bet:
    """A wager on terms that may reach below 0: (x + k) / (1 + k) is 0 or more."""

    below: float = 0.0
    """k: how far below 0 a term can lie, as declared."""
    wager: Wager = Wager()

    def after(self, terms: Floats) -> "Bet":
        """With further terms, in the order of the rows."""
        return replace(self, wager=self.wager.after((terms + self.below) / (1 + self.below)))

    def merge(self, following: "Bet") -> "Bet":
        """With the terms of a bet that began anew after these.

        What was predicted in the later part rests on that part alone. That is as good: a prediction
        need only be made before its term. So parts have to begin at the same rows whenever one
        looks.
        """
        mine, theirs = self.wager, following.wager
        both = Wager(
            mine.count + theirs.count, mine.total + theirs.total, mine.variance + theirs.variance
        )
        return replace(self, wager=both)

    def log_capital(self, mean: float) -> float:
        """Logarithm of the capital won against a mean; minus infinity where nothing was won."""
        wager = self.wager
        gain = wager.total - wager.count * (mean + self.below) / (1 + self.below)
        if gain < 0:
            return -math.inf
        return float(log_capital(gain, wager.variance))
