"""Estimators for several loggers, for the stages of a chain and for features of offers."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import t as student

from replay.errors import BadValueError, MissingColumnError
from replay.estimate import Estimate
from replay.estimators import ESTIMATORS
from replay.evaluation import Evaluation
from replay.logger_table import MOST_LOGGERS
from replay.sample import STAGES, Sample

Columns = Mapping[str, NDArray[Any]]


def estimate_of(name: str, columns: Columns, level: float = 0.95, cuts: int = 1) -> Estimate:
    """An estimate from columns, in chunks that are merged."""
    estimator = ESTIMATORS[name]()
    statistics = estimator.statistics()
    for part in np.array_split(np.arange(len(columns["reward"])), cuts):
        chunk = estimator.statistics()
        chunk.add(Sample(**{one: values[part] for one, values in columns.items()}))  # type: ignore[arg-type]
        statistics.merge(chunk)
    return estimator.estimate(statistics, level)


def assert_mean(found: Estimate, scores: NDArray[np.float64], level: float = 0.95) -> None:
    """An estimate is a mean with Student's interval, to nine digits."""
    value, n = math.fsum(scores.tolist()) / len(scores), len(scores)
    half = student.ppf((1 + level) / 2, n - 1) * scores.std(ddof=1) / math.sqrt(n)
    assert found.value == pytest.approx(value, rel=1e-9)
    assert found.interval == pytest.approx((value - half, value + half), rel=1e-9)


def loggers(seed: int, n: int = 6_000) -> dict[str, NDArray[Any]]:
    """A log of three loggers over two actions: one near the target, one far, one nowhere near."""
    generator = np.random.default_rng(seed)
    logger = generator.integers(0, 3, n)
    takes = np.array([0.7, 0.2, 0.005])
    action = generator.random(n) < takes[logger]
    mixture = sum(np.mean(logger == one) * takes[one] for one in range(3))
    return {
        "reward": generator.normal(1.0 + action, 0.5),
        "p_log": np.where(action, takes[logger], 1 - takes[logger]),
        "p_target": np.where(action, 0.8, 0.2),
        "p_mixture": np.where(action, mixture, 1 - mixture),
        "logger": logger,
    }


TRUTH = 1.8
"""Value of the target of `loggers`."""


def test_balanced_ips_weights_by_the_mixture() -> None:
    """The score is p_target / p_mixture times the reward."""
    log = loggers(1)
    scores = log["p_target"] / log["p_mixture"] * log["reward"]
    assert_mean(estimate_of("balanced_ips", log), scores)


def test_weighted_ips_weights_by_precision() -> None:
    """Loggers' means count by rows over variance; the variance is the inverse of their sum."""
    log = loggers(2)
    scores = log["p_target"] / log["p_log"] * log["reward"]
    means, precisions = [], []
    for one in range(3):
        own = scores[log["logger"] == one]
        means.append(own.mean())
        precisions.append(len(own) / own.var(ddof=1))
    value = np.average(means, weights=precisions)
    half = student.ppf(0.975, len(scores) - 1) / math.sqrt(sum(precisions))
    for cuts in (1, 7):
        found = estimate_of("weighted_ips", log, cuts=cuts)
        assert found.value == pytest.approx(value, rel=1e-9)
        assert found.interval == pytest.approx((value - half, value + half), rel=1e-9)


def test_several_loggers_are_better_told_apart() -> None:
    """Both forms beat plain ips where one logger hardly overlaps, and hold the truth."""
    errors: dict[str, list[float]] = {"ips": [], "balanced_ips": [], "weighted_ips": []}
    for seed in range(12):
        log = loggers(seed)
        for name, found in errors.items():
            found.append((estimate_of(name, log).value - TRUTH) ** 2)
    mean = {name: float(np.mean(found)) for name, found in errors.items()}
    assert max(mean["balanced_ips"], mean["weighted_ips"]) < mean["ips"] / 4


def test_a_logger_without_spread_counts_by_its_rows() -> None:
    """A logger whose scores are all equal is not taken for infinitely precise."""
    log = {
        "reward": np.array([0.0, 0.0, 0.0, 1.0, 3.0, 2.0, 2.0]),
        "p_log": np.full(7, 0.5),
        "p_target": np.full(7, 0.5),
        "logger": np.array([0, 0, 0, 1, 1, 1, 2]),
    }
    common = float(log["reward"].var(ddof=1))
    precisions = [3 / common, 3 / 1.0, 1 / common]
    expected = np.average([0.0, 2.0, 2.0], weights=precisions)
    assert estimate_of("weighted_ips", log).value == pytest.approx(expected, rel=1e-12)


def test_one_logger_is_plain_ips() -> None:
    """With a single logger nothing is left to weigh."""
    log = {**loggers(3), "logger": np.zeros(6_000, dtype=np.int64)}
    weighted, plain = estimate_of("weighted_ips", log), estimate_of("ips", log)
    assert (weighted.value, weighted.interval) == (plain.value, plain.interval)


def test_loggers_without_end_are_refused() -> None:
    """A column that holds something else than loggers is named with its row."""
    n = MOST_LOGGERS + 1
    ones = np.ones(n)
    with pytest.raises(BadValueError, match="logger") as caught:
        estimate_of(
            "weighted_ips",
            {"reward": ones, "p_log": ones, "p_target": ones, "logger": np.arange(n)},
        )
    assert caught.value.row == n


def chain(seed: int, n: int = 400, rarest: float = 0.3) -> dict[str, NDArray[Any]]:
    """A log with probabilities and values of three stages."""
    generator = np.random.default_rng(seed)
    log: dict[str, NDArray[Any]] = {"reward": generator.normal(2, 1, n)}
    for stage in STAGES:
        log[f"p_log_{stage}"] = generator.uniform(rarest, 1, n)
        log[f"p_target_{stage}"] = generator.uniform(0, 1, n)
        log[f"q_{stage}"] = generator.normal(2, 1, n)
        log[f"v_{stage}"] = generator.normal(2, 1, n)
    for joint in ("p_log", "p_target"):
        log[joint] = np.prod([log[f"{joint}_{stage}"] for stage in STAGES], axis=0)
    return log


@pytest.mark.parametrize("rarest", [0.3, 0.001])
def test_stage_ips_is_the_product_of_the_stages(rarest: float) -> None:
    """Every stage has its weight, and the reward gets their product."""
    log = chain(1, rarest=rarest)
    weights = [log[f"p_target_{stage}"] / log[f"p_log_{stage}"] for stage in STAGES]
    assert_mean(estimate_of("stage_ips", log), np.prod(weights, axis=0) * log["reward"])


@pytest.mark.parametrize("rarest", [0.3, 0.001])
def test_stage_dr_unrolls_backwards(rarest: float) -> None:
    """The score is the recursion v + w (next - q) from the last stage to the first."""
    log = chain(2, rarest=rarest)
    score = log["reward"]
    for stage in reversed(STAGES):
        weight = log[f"p_target_{stage}"] / log[f"p_log_{stage}"]
        score = log[f"v_{stage}"] + weight * (score - log[f"q_{stage}"])
    assert_mean(estimate_of("stage_dr", log), score)


def test_stage_dr_without_values_is_stage_ips() -> None:
    """A model that says zero to everything takes nothing away and adds nothing."""
    silent = {name: values * (name[0] not in "qv") for name, values in chain(3).items()}
    assert estimate_of("stage_dr", silent).value == pytest.approx(
        estimate_of("stage_ips", silent).value, rel=1e-12
    )


def test_stage_dr_with_true_values_varies_less_than_dr() -> None:
    """In a world of three coins, values of every stage take more variance away than the last's."""
    generator = np.random.default_rng(4)
    n = 4_000
    coins = generator.integers(0, 2, (3, n))
    half, taken = np.full(n, 0.5), np.where(coins, 0.9, 0.1)
    worth = np.array([1.0, 2.0, 4.0])
    log: dict[str, NDArray[Any]] = {"reward": worth @ coins + generator.normal(0, 0.1, n)}
    before, rest = np.zeros(n), 0.9 * worth.sum()
    for place, stage in enumerate(STAGES):
        log[f"p_log_{stage}"], log[f"p_target_{stage}"] = half, taken[place]
        log[f"v_{stage}"] = before + rest
        rest -= 0.9 * worth[place]
        before = before + worth[place] * coins[place]
        log[f"q_{stage}"] = before + rest
    log["p_log"], log["p_target"] = half**3, taken.prod(axis=0)
    log["q_logged"], log["v_target"] = log["q_time"], np.full(n, 0.9 * worth.sum())
    widths = {}
    for name in ("stage_dr", "dr", "stage_ips"):
        low, high = estimate_of(name, log, 0.999).interval
        assert low < 0.9 * worth.sum() < high
        widths[name] = high - low
    assert widths["stage_dr"] < min(widths["dr"] * 1.5, widths["stage_ips"] / 20)


@pytest.mark.parametrize("joint", ["p_log", "p_target"])
def test_stages_that_do_not_multiply_to_the_whole_are_refused(joint: str) -> None:
    """Probabilities of stages that belong to another action are an error with row and column."""
    log = chain(5)
    log[joint] = log[joint].copy()
    log[joint][7] *= 0.9
    with pytest.raises(BadValueError, match="product of its stages") as caught:
        estimate_of("stage_ips", log)
    assert (caught.value.row, caught.value.column) == (8, joint)


def test_mips_weights_by_features() -> None:
    """The score is the ratio of the features' probabilities times the reward."""
    generator = np.random.default_rng(6)
    n = 300
    log = {
        "reward": generator.normal(size=n),
        "p_log": generator.uniform(0.01, 0.1, n),
        "p_target": generator.uniform(0, 0.1, n),
        "p_log_features": generator.uniform(0.2, 1, n),
        "p_target_features": generator.uniform(0.1, 1, n),
    }
    assert_mean(
        estimate_of("mips", log), log["p_target_features"] / log["p_log_features"] * log["reward"]
    )


def test_mips_reaches_offers_that_the_log_never_showed() -> None:
    """Offers that share their features stand for each other, and weights become light."""
    generator = np.random.default_rng(7)
    n, themes, of_each = 5_000, 4, 50
    theme = generator.integers(0, themes, n)
    offer = theme * of_each + generator.integers(0, of_each, n)
    wanted = np.array([0.7, 0.1, 0.1, 0.1])
    even = np.full(n, 1 / (themes * of_each))
    # The target shows the first offer of each theme alone.
    log = {
        "reward": generator.random(n) < 0.1 + 0.2 * (theme == 0),
        "p_log": even,
        "p_target": np.where(offer % of_each == 0, wanted[theme], 0.0),
        "p_log_features": np.full(n, 1 / themes),
        "p_target_features": wanted[theme],
    }
    truth = 0.1 + 0.2 * 0.7
    mips, ips = estimate_of("mips", log, 0.999), estimate_of("ips", log, 0.999)
    assert mips.interval[0] < truth < mips.interval[1]
    assert mips.interval[1] - mips.interval[0] < (ips.interval[1] - ips.interval[0]) / 4


@pytest.mark.parametrize("joint", ["p_log", "p_target"])
def test_features_are_no_rarer_than_one_action_with_them(joint: str) -> None:
    """Probabilities of an action and of its features that contradict each other are an error."""
    log = {"reward": np.ones(3), "p_log": np.full(3, 0.2), "p_target": np.full(3, 0.2)}
    log |= {f"{one}_features": np.full(3, 0.2) for one in ("p_log", "p_target")}
    log[f"{joint}_features"] = np.array([0.2, 0.1999, 0.19])
    with pytest.raises(BadValueError, match=f"below {joint}, 0.2, of one action") as caught:
        estimate_of("mips", log)
    assert (caught.value.row, caught.value.column) == (3, f"{joint}_features")


@pytest.mark.parametrize("name", ["balanced_ips", "weighted_ips", "stage_ips", "stage_dr", "mips"])
def test_chunks_change_nothing(name: str) -> None:
    """Merged from eleven chunks, value and interval are those of one, bit for bit."""
    generator = np.random.default_rng(8)
    log = {**chain(8), **{one: loggers(8, 400)[one] for one in ("logger", "p_mixture")}}
    for joint in ("p_log", "p_target"):
        log[f"{joint}_features"] = generator.uniform(log[joint], 1)
    assert estimate_of(name, log, cuts=11) == estimate_of(name, log)


@pytest.mark.parametrize("name", ["balanced_ips", "weighted_ips", "stage_ips", "stage_dr", "mips"])
def test_columns_that_are_missing_are_named(name: str) -> None:
    """The error says which column is missing and who needs it."""
    with pytest.raises(MissingColumnError) as caught:
        Evaluation([name]).add(Sample(np.ones(2), np.ones(2), np.ones(2)))
    assert caught.value.needed_by == name
    assert caught.value.column in ESTIMATORS[name].needs
