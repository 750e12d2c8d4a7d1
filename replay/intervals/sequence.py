"""Confidence sequences: intervals that hold at every row at once, so that one may peek."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammainc, gammaln, logsumexp

from replay.intervals.quantiles import check_level
from replay.sums import Floats

_PRECISIONS = (10.0, 1e3, 1e5)
"""Parameters of the mixed gamma priors: tight for few, for thousands and for millions of rows."""

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
    mixed = [_mixed(gain, variance, precision) for precision in _PRECISIONS]
    return np.asarray(logsumexp(mixed, axis=0) - math.log(len(_PRECISIONS)))


def _mixed(gain: Floats | float, variance: Floats | float, precision: float) -> Floats:
    shape = variance + precision
    rate = gain + shape
    prior = precision * math.log(precision) - _log_lower_gamma(precision, precision)
    return np.asarray(
        prior + gain + variance - shape * np.log(rate) + _log_lower_gamma(shape, rate)
    )


def _log_lower_gamma(shape: Floats | float, upto: Floats | float) -> Floats:
    """Logarithm of the lower incomplete gamma function, for upto of at least shape."""
    return np.asarray(gammaln(shape) + np.log(gammainc(shape, upto)))


def lower_bound(bets: Sequence["Bet"], level: float) -> float:
    """The least mean that nobody has won enough money against.

    The capital of several bets is their average, which grows where either does. By Ville's
    inequality it reaches 1 / (1 - level) against the true mean with a chance of at most 1 - level,
    at whichever row one stops, so that the bound holds at all rows at once.

    Args:
        bets: On the same mean, from 0 to 1.
        level: Confidence of this one side, above 0 and below 1.

    Raises:
        LevelError: The level is not between 0 and 1.
    """
    check_level(level)
    limit = math.log(len(bets)) - math.log1p(-level)

    def surplus(mean: float) -> float:
        return float(logsumexp([bet.log_capital(mean) for bet in bets])) - limit

    highest = max(bet.mean for bet in bets)
    if surplus(0.0) <= 0:
        return 0.0
    if surplus(min(highest, 1.0)) >= 0:
        return 1.0
    found: float = brentq(surplus, 0.0, min(highest, 1.0), xtol=1e-300, rtol=1e-14)
    return found


@dataclass(frozen=True, slots=True)
class Bet:
    """A wager on terms that may reach below 0: (x + k) / (1 + k) is 0 or more."""

    below: float = 0.0
    """k: how far below 0 a term can lie, as declared."""
    wager: Wager = Wager()

    def after(self, terms: Floats) -> "Bet":
        """With further terms, in the order of the rows."""
        return replace(self, wager=self.wager.after((terms + self.below) / (1 + self.below)))

    @property
    def mean(self) -> float:
        """Mean of the terms so far."""
        wager = self.wager
        return (wager.total / wager.count) * (1 + self.below) - self.below if wager.count else 0.0

    def log_capital(self, mean: float) -> float:
        """Logarithm of the capital won against a mean; minus infinity where nothing was won."""
        wager = self.wager
        gain = wager.total - wager.count * (mean + self.below) / (1 + self.below)
        if gain < 0:
            return -math.inf
        return float(log_capital(gain, wager.variance))
