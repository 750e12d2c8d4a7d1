"""Empirical likelihood of the Cressie-Read family with power -2, which has a closed form."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from replay.columns import Reward, Weight, WeightedReward
from replay.estimators.base import AdaptiveEstimator, ColumnEstimator
from replay.sample import Sample
from replay.statistics import Column, Statistics
from replay.sums import Floats

_SCALE = 2.0**-68
"""Weights are squared on this scale, so that cubes of the largest w^2 r stay in float64."""
_UNSCALE = 2**136

_Gradient = Callable[[Sequence[Fraction], Fraction], tuple[Fraction, ...]]


@dataclass(frozen=True)
class WeightSquare(Column):
    """w^2 / 2^136."""

    def of(self, sample: Sample) -> Floats:
        """The squares."""
        return (sample.weight * _SCALE) ** 2


@dataclass(frozen=True)
class WeightSquareReward(Column):
    """w^2 r / 2^136."""

    def of(self, sample: Sample) -> Floats:
        """The squares times the reward."""
        return (sample.weight * _SCALE) ** 2 * sample.reward


class CressieRead(AdaptiveEstimator):
    """Cressie-Read empirical likelihood (Karampatziakis, Langford and Mineiro 2020).

    "Empirical Likelihood for Contextual Bandits": of all distributions over the rows (and one more
    row of the smallest or largest weight that there can be, 0 or infinity) under which the weights
    have mean 1, the one nearest to the data in the Cressie-Read divergence of power -2.

    Formula: if the mean weight is below 1, V = mean(w r) + (1 - mean(w)) * mean(r): what is missing
    earns the log's mean. Otherwise V = sum of (g + b * w_i) * w_i * r_i / (1 + n) with
    g = (B - A) / (B - A^2), b = (1 - A) / (B - A^2), A = sum(w) / (1 + n) and
    B = sum(w^2) / (1 + n).

    Assumes what `ips` assumes. It uses that the weights have mean 1, which takes away the part of
    the variance that the weights explain; for large n it is `ips` with the weight as control
    variate.

    The interval is the delta method's. Where the mean weight is near 1, either formula may be in
    force by chance: the wider interval of the two is given.
    """

    name = "cressie_read"
    method = "closed form; delta method with Student's t, the wider of two forms, rows independent"
    columns = (WeightedReward(), Weight(), Reward(), WeightSquare(), WeightSquareReward())

    def settled(self, statistics: Statistics) -> ColumnEstimator:
        """The estimator for this many rows, with the wider gradient."""
        forms = [_Sized(statistics.n, gradient=form) for form in (_light_gradient, _heavy_gradient)]
        means = statistics.means(self.columns)
        if statistics.n == 1 or not means[1]:
            return forms[0]
        return max(forms, key=lambda one: statistics.variance(self.columns, one.gradient(means)))


class _Sized(ColumnEstimator):
    """The closed form for a number of rows."""

    name = CressieRead.name
    method = CressieRead.method
    columns = CressieRead.columns

    def __init__(self, n: int, gradient: _Gradient) -> None:
        self._share = Fraction(n, n + 1)
        self._gradient = gradient

    def value(self, means: Sequence[Fraction]) -> Fraction:
        """By the form that the mean weight asks for."""
        if not means[1]:
            raise ZeroDivisionError
        return _light(means) if means[1] < 1 else _heavy(means, self._share)

    def gradient(self, means: Sequence[Fraction]) -> tuple[Fraction, ...]:
        """Of the chosen form."""
        return self._gradient(means, self._share)


def _light(means: Sequence[Fraction]) -> Fraction:
    """The value where the mean weight is below 1."""
    weighted_reward, weight, reward, *_ = means
    return weighted_reward + (1 - weight) * reward


def _light_gradient(means: Sequence[Fraction], _share: Fraction) -> tuple[Fraction, ...]:
    _, weight, reward, *_ = means
    return (Fraction(1), -reward, 1 - weight, Fraction(0), Fraction(0))


def _heavy(means: Sequence[Fraction], share: Fraction) -> Fraction:
    """The value where it is not; `share` is n / (n + 1)."""
    *_, spread, top = _heavy_terms(means, share)
    return share * top / spread


def _heavy_gradient(means: Sequence[Fraction], share: Fraction) -> tuple[Fraction, ...]:
    first, second, spread, top = _heavy_terms(means, share)
    weighted_reward, square_reward = means[0], means[4] * _UNSCALE
    by_first = (2 * first * top - (weighted_reward + square_reward) * spread) / spread**2
    by_second = (weighted_reward * spread - top) / spread**2
    return (
        share * (second - first) / spread,
        share**2 * by_first,
        Fraction(0),
        share**2 * by_second * _UNSCALE,
        share * (1 - first) / spread * _UNSCALE,
    )


def _heavy_terms(
    means: Sequence[Fraction], share: Fraction
) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """A, B, B - A^2, and (B - A) mean(w r) + (1 - A) mean(w^2 r)."""
    weighted_reward, weight, _, square, square_reward = means
    first, second = share * weight, share * square * _UNSCALE
    top = (second - first) * weighted_reward + (1 - first) * square_reward * _UNSCALE
    return first, second, second - first**2, top
