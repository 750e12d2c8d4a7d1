"""Cressie-Read and empirical likelihood agree with their paper, and with vw-estimators."""

import math
from collections.abc import Sequence

import estimators.bandits.cressieread
import estimators.bandits.ips
import estimators.bandits.mle
import estimators.bandits.snips
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import t as student

from replay.estimate import Estimate
from replay.estimators import ESTIMATORS
from replay.estimators.mle import Mle
from replay.sample import Sample
from replay.statistics import Statistics
from replay.weight_table import MOST_WEIGHTS, WeightTable
from tests.replay.samples import Row, sample_of, seeded_log, shuffle

PEERS = {
    "ips": estimators.bandits.ips.Estimator,
    "snips": estimators.bandits.snips.Estimator,
    "cressie_read": estimators.bandits.cressieread.Estimator,
    "mle": estimators.bandits.mle.Estimator,
}


def fair_log(seed: int, n: int, heaviest: float, tilt: float) -> list[Row]:
    """A log whose mean weight lies near `tilt`."""
    rows = seeded_log(seed, n, heaviest)
    total = sum(row[2] / row[1] for row in rows) / n
    return [(r, p, min(1.0, t * tilt / total), q, v) for r, p, t, q, v in rows]


def estimate_of(name: str, rows: Sequence[Row]) -> Estimate:
    """An estimate by name."""
    estimator = ESTIMATORS[name]()
    statistics = estimator.statistics()
    statistics.add(sample_of(rows))
    return estimator.estimate(statistics)


@pytest.mark.parametrize("name", sorted(PEERS))
@pytest.mark.parametrize(
    ("n", "heaviest"), [(1, 3.0), (2, 3.0), (50, 3.0), (700, 30.0), (500, 1e6)]
)
@pytest.mark.parametrize("tilt", [0.7, 0.99, 1.01, 1.4])
def test_agrees_with_vw_estimators(name: str, n: int, heaviest: float, tilt: float) -> None:
    """Values are those of the authors' own package, for mean weights on both sides of 1."""
    rows = fair_log(n, n, heaviest, tilt)
    peer = PEERS[name]()
    for r, p_log, p_target, *_ in rows:
        peer.add_example(p_log, r, p_target)
    assert estimate_of(name, rows).value == pytest.approx(peer.get(), rel=1e-9)


@pytest.mark.parametrize("tilt", [0.9, 1.1])
def test_mle_is_the_likeliest_distribution(tilt: float) -> None:
    """No distribution under which weights have mean 1 (or less, the rest missing) is likelier."""
    rows = fair_log(3, 40, 4.0, tilt)
    r, p_log, p_target, *_ = np.array(rows).T
    w = p_target / p_log
    # In logarithms, q_i = exp(z_i): sum of q at most 1, sum of q w at most 1.
    found = minimize(
        lambda z: -np.sum(z),
        np.full(40, -math.log(60)),
        constraints=[
            {"type": "ineq", "fun": lambda z: 1 - np.sum(np.exp(z))},
            {"type": "ineq", "fun": lambda z: 1 - np.sum(np.exp(z) * w)},
        ],
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-14},
    )
    q = np.exp(found.x)
    value = np.sum(q * w * r) + max(0.0, 1 - np.sum(q * w)) * np.mean(r)
    assert estimate_of("mle", rows).value == pytest.approx(value, rel=1e-4)


def cressie_read(means: np.ndarray, n: int) -> float:
    """The closed form at the means of w r, w, r, w^2 and w^2 r."""
    weighted, weight, reward, square, square_reward = means
    if weight < 1:
        return float(weighted + (1 - weight) * reward)
    a, b = n * weight / (1 + n), n * square / (1 + n)
    gamma, beta = (b - a) / (a * a - b), (1 - a) / (a * a - b)
    return float(n * (-gamma * weighted - beta * square_reward) / (1 + n))


@pytest.mark.parametrize("tilt", [0.8, 1.2])
def test_the_interval_of_cressie_read_is_the_delta_methods(tilt: float) -> None:
    """Its half-width is that of the numerical gradient, where one form is clearly in force."""
    n = 400
    rows = fair_log(4, n, 5.0, tilt)
    r, p_log, p_target, *_ = np.array(rows).T
    w = p_target / p_log
    columns = np.stack([w * r, w, r, w * w, w * w * r])
    means, covariance = columns.mean(axis=1), np.cov(columns)
    gradient = np.array(
        [
            (cressie_read(means + step, n) - cressie_read(means - step, n)) / 2e-6
            for step in np.eye(5) * 1e-6
        ]
    )
    half = student.ppf(0.975, n - 1) * math.sqrt(gradient @ covariance @ gradient / n)
    low, high = estimate_of("cressie_read", rows).interval
    assert (high - low) / 2 >= half * (1 - 1e-6)
    if tilt > 1:  # the other form is never narrower than this one, which regresses on the weight
        light = np.array([1, -means[2], 1 - means[1], 0, 0])
        other = student.ppf(0.975, n - 1) * math.sqrt(light @ covariance @ light / n)
        assert (high - low) / 2 == pytest.approx(max(half, other), rel=1e-6)


def test_likelihoods_vary_less_than_ips() -> None:
    """Knowing that weights have mean 1 pays where rewards are far from 0."""
    rows = [(r + 10, *rest) for r, *rest in fair_log(7, 3_000, 5.0, 1.0)]
    widths = {}
    for name in ("ips", "cressie_read", "mle"):
        low, high = estimate_of(name, [(a, b, c, d, e) for a, b, c, d, e in rows]).interval
        widths[name] = high - low
    assert max(widths["cressie_read"], widths["mle"]) < widths["ips"] / 2


def table_of(weights: np.ndarray, rewards: np.ndarray, *cuts: int) -> WeightTable:
    """A table that was filled in chunks, each merged into the first."""
    tables = []
    for chunk_w, chunk_r in zip(np.split(weights, cuts), np.split(rewards, cuts), strict=True):
        tables.append(WeightTable())
        p_log = 1 / np.maximum(chunk_w, 1.0)
        tables[-1].add(Sample(chunk_r, p_log, np.minimum(chunk_w * p_log, 1.0)))
    for other in tables[1:]:
        tables[0].merge(other)
    return tables[0]


def assert_same_table(one: WeightTable, other: WeightTable) -> None:
    """Same bins, same counts, sums to 1e-13."""
    left, right = one.rows(), other.rows()
    assert one.dropped_bits == other.dropped_bits
    assert np.array_equal(left.count, right.count)
    assert left.weight == pytest.approx(right.weight, rel=1e-13)
    assert left.weighted_reward == pytest.approx(right.weighted_reward, rel=1e-13, abs=1e-300)


def test_a_table_of_few_weights_is_exact() -> None:
    """Each distinct weight has its own row, with the count and sums of its interactions."""
    weights = np.array([0.5, 2.0, 0.5, 0.0, 2.0, 2.0])
    rows = table_of(weights, np.arange(6.0)).rows()
    assert rows.count.tolist() == [1, 2, 3]
    assert rows.weight.tolist() == [0.0, 1.0, 6.0]
    assert rows.weighted_reward.tolist() == [0.0, 1.0, 20.0]


@pytest.mark.parametrize("n", [1_000, 3 * MOST_WEIGHTS])
def test_a_table_is_the_same_in_any_order_and_split(n: int) -> None:
    """With room for every weight or without, chunks and order leave no trace."""
    generator = np.random.default_rng(n)
    weights, rewards = generator.lognormal(size=n), generator.normal(size=n) + 5
    order = generator.permutation(n)
    whole = table_of(weights, rewards)
    assert_same_table(whole, table_of(weights[order], rewards[order], n // 10, n // 2))
    assert whole.rows().count.sum() == n
    assert len(whole.rows().count) <= MOST_WEIGHTS
    assert (whole.dropped_bits > 0) == (n > MOST_WEIGHTS)


def test_bins_cost_mle_next_to_nothing() -> None:
    """With more distinct weights than rows in the table, six digits are those of every weight."""
    generator = np.random.default_rng(5)
    n = 2 * MOST_WEIGHTS
    p_log = generator.uniform(0.05, 1, n)
    p_target = generator.uniform(0, 1, n) * p_log * 2.1
    rewards = generator.normal(3, 1, n) + p_target
    statistics = Statistics([Mle()])
    statistics.add(Sample(rewards, p_log, np.minimum(p_target, 1)))
    peer = estimators.bandits.mle.Estimator()
    for one in zip(p_log.tolist(), rewards.tolist(), np.minimum(p_target, 1).tolist(), strict=True):
        peer.add_example(*one)
    assert statistics.part(WeightTable).dropped_bits > 0
    assert Mle().estimate(statistics).value == pytest.approx(peer.get(), rel=1e-6)


def test_shuffled_rows_give_the_same_mle() -> None:
    """Twelve digits do not depend on the order of the rows."""
    rows = fair_log(9, 800, 1e4, 1.1)
    assert estimate_of("mle", shuffle(rows, 1)).value == pytest.approx(
        estimate_of("mle", rows).value, rel=1e-12
    )
