"""Weighting for logs of several policies, each logger by its precision: the weighted estimator."""

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from replay.estimate import Found
from replay.estimators.base import Estimator
from replay.intervals.settings import Keep
from replay.logger_table import GROUPS, LoggerTable
from replay.moments import Moments
from replay.statistics import Statistics

_MADE = "means by logger, by inverse variance"


class WeightedIps(Estimator):
    """Weighted inverse propensity scoring (Agarwal, Basu, Schnabel and Joachims 2017).

    "Effective Evaluation Using Logged Bandit Feedback from Multiple Loggers". Formula: V = sum over
    loggers k of c_k * V_k, with V_k the `ips` estimate on the rows of logger k alone and c_k
    proportional to n_k / s_k^2, the inverse of its variance; s_k^2 is the sample variance of w * r
    there. A logger without a spread (one row, or all scores equal) counts with the variance of all
    rows.

    Assumes what `ips` assumes, of every logger by itself. Precise loggers count for more, so that a
    log that hardly overlaps with the target spoils nothing. The interval takes the factors c_k as
    given: Var V = sum of c_k^2 * s_k^2 / n_k, Student's t. By subject it is G / (G - 1) * sum of
    d^2 over G subjects (`LoggerTable` has groups of them), with d = sum over k of c_k * (S_k - m_k
    * V_k) / n_k, S_k the sum of w * r over a subject's m_k rows of logger k. Where loggers are many
    and small, the factors' own error makes it too narrow.
    """

    name = "weighted_ips"
    needs = ("logger",)
    method = f"{_MADE}; Student's t, rows independent"
    parts = (LoggerTable,)

    def _found(self, statistics: Statistics) -> Found:
        table = statistics.part(LoggerTable)
        strata, variances = table.moments, _variances(table.moments)
        factors = _factors(strata, variances)
        value = sum((factors[one] * strata[one].mean(0) for one in strata), Fraction(0))
        if statistics.gathering.keep is Keep.SUBJECTS:
            variance, units = _clustered(table, factors)
            return Found(value, variance, units, f"{_MADE}; Student's t, rows clustered by subject")
        variance = sum(
            (factors[one] ** 2 * variances[one] / strata[one].n for one in strata), Fraction(0)
        )
        return Found(value, variance, statistics.n, self.method)


def _factors(
    strata: Mapping[int, Moments], variances: Mapping[int, Fraction]
) -> dict[int, Fraction]:
    """What each logger counts for: its precision, or its rows where nothing varies."""
    precisions = {
        logger: moments.n / variances[logger] if variances[logger] else Fraction(moments.n)
        for logger, moments in strata.items()
    }
    whole = sum(precisions.values(), Fraction(0))
    return {logger: precision / whole for logger, precision in precisions.items()}


def _clustered(table: LoggerTable, factors: Mapping[int, Fraction]) -> tuple[Fraction, int]:
    """Variance of the value over subjects that several loggers share, and their number."""
    influence, rows = np.zeros(GROUPS), np.zeros(GROUPS)
    for logger, (sizes, sums) in table.groups.items():
        moments = table.moments[logger]
        influence += float(factors[logger] / moments.n) * (sums - float(moments.mean(0)) * sizes)
        rows += sizes
    units = int(np.count_nonzero(rows))
    squares = Fraction(float(influence @ influence))
    return squares * units / (units - 1) if units > 1 else Fraction(0), units


def _variances(strata: Mapping[int, Moments]) -> dict[int, Fraction]:
    """Variance of a score by logger; that of all rows where it has none of its own."""
    pooled = Moments(1)
    for moments in strata.values():
        pooled.merge(moments)
    common = _variance(pooled)
    return {logger: _variance(moments) or common for logger, moments in strata.items()}


def _variance(moments: Moments) -> Fraction:
    return moments.covariance(0, 0) if moments.n > 1 else Fraction(0)
