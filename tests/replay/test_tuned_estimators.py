"""Estimators that choose a limit or a factor from the data choose it as their papers say."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import t as student

from replay.estimate import Estimate
from replay.estimators import ESTIMATORS
from replay.sample import Sample
from replay.slope import Candidate, slope
from tests.replay.samples import Row, mean_reference, sample_of, seeded_log

Score = Callable[[Row, float], float]

LOGS = [(2, 2.0), (60, 3.0), (500, 20.0), (400, 1e6)]
CLIPS = [2.0**power for power in range(12, 0, -1)]


def weight(row: Row) -> float:
    """Importance weight."""
    return row[2] / row[1]


def clipped_ips(row: Row, limit: float) -> float:
    """min(w, λ) r."""
    return min(weight(row), limit) * row[0]


def clipped_dr(row: Row, limit: float) -> float:
    """V + min(w, λ) (r - q)."""
    return row[4] + min(weight(row), limit) * (row[0] - row[3])


def switch_dr(row: Row, limit: float) -> float:
    """V + w 1[w <= λ] (r - q)."""
    return row[4] + (weight(row) if weight(row) <= limit else 0.0) * (row[0] - row[3])


def dr_os(row: Row, limit: float) -> float:
    """V + λ w / (w^2 + λ) (r - q)."""
    shrunk = weight(row) if math.isinf(limit) else limit * weight(row) / (weight(row) ** 2 + limit)
    return row[4] + shrunk * (row[0] - row[3])


SHRINKAGES = [4.0**power for power in range(12, -1, -1)]
TUNED: dict[str, tuple[Score, list[float]]] = {
    "clipped_ips": (clipped_ips, [math.inf, *CLIPS]),
    "clipped_dr": (clipped_dr, [math.inf, *CLIPS, 0.0]),
    "switch_dr": (switch_dr, [math.inf, *CLIPS, 0.0]),
    "dr_os": (dr_os, [math.inf, *SHRINKAGES, 0.0]),
}


def estimate_of(name: str, sample: Sample, level: float = 0.95) -> Estimate:
    """An estimate by name."""
    estimator = ESTIMATORS[name]()
    statistics = estimator.statistics()
    statistics.add(sample)
    return estimator.estimate(statistics, level)


def slope_reference(values: Sequence[float], widths: Sequence[float]) -> int:
    """SLOPE++ as the paper tells it: go on from the widest while everything before agrees."""
    order = sorted(range(len(values)), key=lambda place: (-widths[place], place))
    for step in range(1, len(order)):
        now = order[step]
        for before in order[:step]:
            room = widths[now] + (math.sqrt(6) - 1) * widths[before]
            if abs(values[now] - values[before]) > room:
                return order[step - 1]
    return order[-1]


@pytest.mark.parametrize("name", sorted(TUNED))
@pytest.mark.parametrize(("n", "heaviest"), LOGS)
def test_agrees_with_the_paper(name: str, n: int, heaviest: float) -> None:
    """Limit, value and interval are those of scores computed one by one, for any weights."""
    rows = seeded_log(n, n, heaviest)
    score, grid = TUNED[name]
    references = [mean_reference(Fraction(score(row, limit)) for row in rows) for limit in grid]
    widths = [1.959963984540054 * math.sqrt(one.variance) for one in references]
    chosen = slope_reference([float(one.value) for one in references], widths)
    found = estimate_of(name, sample_of(rows), 0.9)
    assert found.parameters == {"lambda": grid[chosen]}
    value = float(references[chosen].value)
    half = student.ppf(0.95, n - 1) * math.sqrt(references[chosen].variance)
    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.interval == pytest.approx((value - half, value + half), rel=1e-9)


def heavy(seed: int, n: int = 20_000) -> Sample:
    """A log of two actions, the target's one seldom taken; both earn 1 on average, with noise."""
    generator = np.random.default_rng(seed)
    p_log = np.where(generator.random(n) < 0.5, 1e-4, 0.5)
    takes = generator.random(n) < p_log
    reward = generator.normal(1.0, 1.0, n)
    ones = np.ones(n)
    return Sample(reward, np.where(takes, p_log, 1 - p_log), takes.astype(np.float64), ones, ones)


@pytest.mark.parametrize("name", ["switch_dr", "dr_os", "clipped_dr"])
def test_limits_pay_where_weights_are_heavy(name: str) -> None:
    """With a good model and heavy weights the mean squared error is far below that of dr."""
    errors = {
        one: float(np.mean([(estimate_of(one, heavy(seed)).value - 1.0) ** 2 for seed in range(8)]))
        for one in (name, "dr")
    }
    assert errors[name] < errors["dr"] / 10


def test_a_biased_limit_is_not_chosen() -> None:
    """Where clipping takes away what many rows prove to be there, there is no clipping."""
    n = 50_000
    generator = np.random.default_rng(0)
    takes = generator.random(n) < 0.05
    sample = Sample(np.ones(n), np.where(takes, 0.05, 0.95), takes.astype(np.float64))
    found = estimate_of("clipped_ips", sample)
    assert found.parameters["lambda"] >= 20
    assert found.interval[0] < 1 < found.interval[1]


def test_slope_of_candidates_that_agree_is_the_narrowest() -> None:
    """If nothing contradicts, the least variance wins, wherever it stands."""
    values = [Candidate(Fraction(1), Fraction(v)) for v in (9, 1, 4)]
    assert slope(values) == 1


def test_slope_stops_where_a_narrow_estimate_contradicts_a_wide_one() -> None:
    """An estimate outside what the wider ones explain is not taken, nor any after it."""
    wide, middle = Candidate(Fraction(0), Fraction(1)), Candidate(Fraction(1), Fraction(1, 2))
    off, tiny = Candidate(Fraction(50), Fraction(1, 4)), Candidate(Fraction(1), Fraction(1, 9))
    assert slope([wide, middle, off, tiny]) == 1


def test_slope_of_one_is_it() -> None:
    """A single candidate is the choice, and so is the first of equals."""
    assert slope([Candidate(Fraction(3), Fraction(0))]) == 0
    assert slope([Candidate(Fraction(3), Fraction(1))] * 3) == 2


def mrdr_reference(rows: Sequence[Row]) -> tuple[float, float]:
    """Least squares by numpy: value and its standard error with n - 3 degrees of freedom."""
    r, p_log, p_target, q, v = np.array(rows).T
    w = p_target / p_log
    gaps = np.stack([np.ones(len(rows)), w - 1, w * q - v], axis=1)
    factors, *_ = np.linalg.lstsq(gaps, w * r, rcond=None)
    residuals = w * r - gaps @ factors
    return float(factors[0]), math.sqrt(float(residuals @ residuals) / (len(rows) - 3) / len(rows))


@pytest.mark.parametrize(("n", "heaviest"), [(60, 3.0), (500, 20.0), (2_000, 50.0)])
def test_mrdr_is_a_regression(n: int, heaviest: float) -> None:
    """The value is the regression's at gaps of zero, with the standard error of its residuals."""
    rows = seeded_log(n, n, heaviest)
    value, error = mrdr_reference(rows)
    half = student.ppf(0.975, n - 3) * error
    found = estimate_of("mrdr", sample_of(rows))
    assert found.value == pytest.approx(value, rel=1e-9)
    assert found.interval == pytest.approx((value - half, value + half), rel=1e-9)


def test_mrdr_beats_both_a_bad_model_and_none() -> None:
    """With a model on the wrong scale, it varies less than dr and than ips."""
    generator = np.random.default_rng(1)
    n = 5_000
    share = generator.uniform(0.1, 0.9, n)
    p_log = np.where(generator.random(n) < share, share, 1 - share)
    truth = generator.normal(5, 2, n)
    sample = Sample(truth + generator.normal(0, 0.5, n), p_log, np.full(n, 0.5), -truth, -truth)
    widths = {}
    for name in ("mrdr", "dr", "ips"):
        low, high = estimate_of(name, sample).interval
        widths[name] = high - low
    assert widths["mrdr"] < 0.6 * min(widths["dr"], widths["ips"])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_mrdr_of_three_rows_says_nothing_of_its_spread(n: int) -> None:
    """Two fitted factors leave no row to judge by: the interval is infinite, not of no width."""
    found = estimate_of("mrdr", sample_of(seeded_log(5, n, 3.0)))
    assert found.interval == (-math.inf, math.inf)
    assert math.isfinite(found.value)
