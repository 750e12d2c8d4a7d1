"""Confidence sequences rest on capital that cannot grow on average, and hold at every row."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import gammainc, gammaln

from replay.errors import LevelError
from replay.estimate import Bounds
from replay.evaluation import Evaluation
from replay.intervals.sequence import _PRECISIONS, Bet, Wager, log_capital, lower_bound
from replay.intervals.settings import IntervalSettings, Method
from replay.sample import Sample

TERMS = st.lists(st.floats(0, 50), min_size=1, max_size=60)


def bent(stake: float) -> float:
    """-log(1 - l) - l, of small stakes too."""
    if stake > 1e-3:
        return -math.log1p(-stake) - stake
    return sum(stake**power / power for power in range(2, 9))


def integrated(gain: float, variance: float) -> float:
    """The mixture of the paper by numerical integration over the share staked."""
    total = 0.0
    for precision in _PRECISIONS:
        norm = precision * math.log(precision) - gammaln(precision)
        norm -= math.log(gammainc(precision, precision))
        peak = (gain + 1e-12) / (gain + variance + precision)
        width = 1 / math.sqrt(gain + variance + precision)

        def density(stake: float, precision: float = precision, norm: float = norm) -> float:
            free = 1 - stake
            prior = norm + (precision - 1) * math.log1p(-stake) - precision * free
            return math.exp(prior + stake * gain - variance * bent(stake))

        around = [p for p in (peak / 3, peak, 3 * peak) if 0 < p < 1]
        around += [p for k in (-8, -2, 2, 8) if 0 < (p := peak + k * width) < 1]
        total += quad(density, 0, 1 - 1e-15, points=around, limit=500, epsabs=0, epsrel=1e-12)[0]
    return math.log(total / len(_PRECISIONS))


@pytest.mark.parametrize(
    ("gain", "variance"),
    [
        (0.0, 0.0),
        (0.5, 3.0),
        (20.0, 40.0),
        (100.0, 2_000.0),
        (3.0, 0.01),
        (3e3, 2e6),
        (5e4, 0.9e9),
        (5e4, 1.1e9),
        (1e8, 1e16),
        (3e9, 1e18),
    ],
)
def test_capital_is_the_mixture_of_the_paper(gain: float, variance: float) -> None:
    """The closed form equals the integral over all stakes."""
    found = float(log_capital(gain, variance))
    assert found == pytest.approx(integrated(gain, variance), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize(
    ("values", "chances"),
    [
        ((0.0, 1.0), (0.7, 0.3)),
        ((0.0, 9.0), (0.95, 0.05)),
        ((0.0, 0.2, 40.0), (0.6, 0.39, 0.01)),
        ((0.0, 1e9), (1 - 1e-10, 1e-10)),
        ((0.5, 1e11), (1 - 1e-13, 1e-13)),
    ],
)
def test_capital_cannot_grow_on_average(
    values: tuple[float, ...], chances: tuple[float, ...]
) -> None:
    """Over all runs of six terms, capital against the true mean has a mean of at most 1."""
    mean = sum(value * chance for value, chance in zip(values, chances, strict=True))
    expected = 0.0
    for run in product(range(len(values)), repeat=6):
        chance = math.prod(chances[one] for one in run)
        bet = Bet().after(np.array([values[one] for one in run]))
        expected += chance * math.exp(bet.log_capital(mean))
    assert 0 < expected <= 1


@given(terms=TERMS, cuts=st.lists(st.integers(0, 60), max_size=4), below=st.floats(0, 5))
def test_chunks_change_nothing(terms: list[float], cuts: list[int], below: float) -> None:
    """Terms that come in pieces make the same wager as all at once."""
    whole = Bet(below).after(np.array(terms)).wager
    parts = Bet(below)
    for part in np.split(np.array(terms), sorted(cut for cut in cuts if cut < len(terms))):
        parts = parts.after(part)
    found = parts.wager
    assert found.count == whole.count
    assert (found.total, found.variance) == pytest.approx((whole.total, whole.variance), rel=1e-12)


def test_predictions_are_made_before_the_terms() -> None:
    """Each distance is that from the mean of the terms before it, with a half to begin with."""
    terms = [0.0, 1.0, 4.0, 0.5]
    expected, before = 0.0, [0.5]
    for term in terms:
        expected += (term - min(sum(before) / len(before), 1.0)) ** 2
        before.append(term)
    assert Wager().after(np.array(terms)).variance == pytest.approx(expected, rel=1e-12)


@settings(deadline=None)
@given(terms=TERMS, level=st.floats(0.5, 0.999))
def test_the_bound_is_where_capital_reaches_its_limit(terms: list[float], level: float) -> None:
    """Below the bound the capital has won enough, above it has not."""
    bet = Bet().after(np.array(terms))
    bound = lower_bound([bet], level)
    limit = -math.log(1 - level)
    assert 0 <= bound <= 1
    if bound > 0:
        assert bet.log_capital(bound - 1e-9) >= limit
    if bound < 1:
        assert bet.log_capital(min(bound + 1e-9, 1.0)) <= limit


@settings(deadline=None)  # numbers of scipy are slow to begin with
@given(terms=TERMS, level=st.floats(0.01, 0.99), higher=st.floats(0.01, 0.99))
def test_bounds_are_nested(terms: list[float], level: float, higher: float) -> None:
    """A higher level never gives a higher lower bound; a second wager may."""
    low, high = sorted((level, higher))
    bet = Bet().after(np.array(terms))
    for bets in ([bet], [bet, Bet(3.0).after(np.array(terms))]):
        assert lower_bound(bets, high) <= lower_bound(bets, low)


@pytest.mark.parametrize("heavy", [1e3, 1e6, 1e8, 1e9, 1e11, 1e30, 1e60])
def test_one_heavy_weight_proves_nothing(heavy: float) -> None:
    """Among a thousand rows a single reward bounds the value by 0 still, however heavy it is."""
    p_log, p_target, reward = np.full(1_000, 0.5), np.full(1_000, 0.5), np.zeros(1_000)
    p_log[500], p_target[500], reward[500] = 1 / heavy, 1.0, 1.0
    evaluation = Evaluation(["ips"], IntervalSettings(Method.SEQUENCE, bounds=Bounds(0, 1)))
    evaluation.add(Sample(reward, p_log, p_target))
    found = evaluation.result().estimates["ips"]
    assert found is not None
    low, high = found.interval
    assert low < 0.01
    assert high == 1


def test_nothing_seen_bounds_nothing() -> None:
    """Before the first row the lower bound is the lowest mean there is."""
    for level in (0.1, 0.95):
        assert lower_bound([Bet(), Bet(2.0)], level) == 0.0


def test_impossible_levels_are_refused() -> None:
    """A level of 1 cannot be had by any capital."""
    with pytest.raises(LevelError):
        lower_bound([Bet()], 1.0)
