"""Estimators agree with their papers' formulas, and keep the laws that every estimator keeps."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from replay.errors import (
    BadValueError,
    BoundsError,
    EmptySampleError,
    LevelError,
    MergeError,
    MissingColumnError,
    NoOverlapError,
    UnknownEstimatorError,
)
from replay.estimate import DEFAULT_LEVEL, NO_BOUNDS, Bounds, Estimate
from replay.estimators import ESTIMATORS, Estimator, make_estimators
from replay.evaluation import Evaluation
from replay.intervals.settings import IntervalSettings
from replay.sample import Sample
from replay.statistics import Statistics
from tests.replay.samples import (
    Reference,
    Row,
    logs,
    mean_reference,
    ratio_reference,
    sample_of,
    seeded_log,
    shuffle,
    weighted_rewards_of,
    weights_of,
)

NAMES = sorted(
    name for name, kind in ESTIMATORS.items() if {"q_logged", "v_target"}.issuperset(kind.needs)
)
"""Those that rows of `samples` suffice for; the others have tests of their own."""


def reference_ips(rows: Sequence[Row]) -> Reference:
    """Mean of w r."""
    return mean_reference(weighted_rewards_of(rows))


def reference_snips(rows: Sequence[Row]) -> Reference:
    """Sum of w r over sum of w."""
    return ratio_reference(weighted_rewards_of(rows), weights_of(rows))


def reference_dm(rows: Sequence[Row]) -> Reference:
    """Mean of v."""
    return mean_reference(Fraction(v) for *_, v in rows)


def reference_dr(rows: Sequence[Row]) -> Reference:
    """Mean of v + w (r - q)."""
    return mean_reference(Fraction(v + p / logged * (r - q)) for r, logged, p, q, v in rows)


def reference_sndr(rows: Sequence[Row]) -> Reference:
    """Mean of v plus the ratio of sums of w (r - q) and of w: mean of influence functions."""
    weights = weights_of(rows)
    errors = [Fraction(p / logged * (r - q)) for r, logged, p, q, _ in rows]
    total = sum(weights, Fraction(0))
    ratio, mean = sum(errors, Fraction(0)) / total, total / len(rows)
    influences = [
        Fraction(row[4]) + (error - ratio * weight) / mean
        for row, error, weight in zip(rows, errors, weights, strict=True)
    ]
    found = mean_reference(influences)
    return Reference(found.value + ratio, found.variance)


REFERENCES: dict[str, Callable[[Sequence[Row]], Reference]] = {
    "ips": reference_ips,
    "snips": reference_snips,
    "dm": reference_dm,
    "dr": reference_dr,
    "sndr": reference_sndr,
}


@dataclass
class Filled:
    """An estimator with the statistics of some rows."""

    estimator: Estimator
    statistics: Statistics

    def merge(self, other: "Filled") -> None:
        """Takes in the other one's rows."""
        self.statistics.merge(other.statistics)

    def estimate(self, level: float = DEFAULT_LEVEL, bounds: Bounds = NO_BOUNDS) -> Estimate:
        """What the rows say."""
        return self.estimator.estimate(self.statistics, level, bounds)


def filled(name: str, *chunks: Sequence[Row]) -> Filled:
    """An estimator that has seen chunks one after the other."""
    estimator = ESTIMATORS[name]()
    statistics = estimator.statistics()
    for chunk in chunks:
        statistics.add(sample_of(chunk))
    return Filled(estimator, statistics)


def assert_close(found: Estimate, expected: Estimate) -> None:
    """Values and intervals agree to 1e-12 of their size."""
    for one, other in zip(
        (found.value, *found.interval), (expected.value, *expected.interval), strict=True
    ):
        assert one == pytest.approx(other, rel=1e-12, abs=1e-300)


def overlaps(rows: Sequence[Row]) -> bool:
    """Whether snips has any weight to divide by."""
    return any(weights_of(rows))


@pytest.mark.parametrize("name", sorted(REFERENCES))
@pytest.mark.parametrize(("n", "heaviest"), [(2, 2), (37, 3), (500, 20), (400, 1e6)])
def test_agrees_with_the_paper(name: str, n: int, heaviest: float) -> None:
    """Value and interval equal the paper's formula in fractions, for light and heavy weights."""
    rows = seeded_log(seed=n, n=n, heaviest=heaviest)
    reference = REFERENCES[name](rows)
    half = student.ppf(0.95, n - 1) * math.sqrt(reference.variance)
    found = filled(name, rows).estimate(level=0.9)
    assert found.value == pytest.approx(float(reference.value), rel=1e-14)
    low, high = float(reference.value) - half, float(reference.value) + half
    assert found.interval == pytest.approx((low, high), rel=1e-12)


@pytest.mark.parametrize("name", sorted({*NAMES} - {"mle"}))
@settings(max_examples=25)
@given(rows=logs(), seed=st.integers(0, 99), cut=st.integers(0, 25))
def test_order_and_split_change_nothing(name: str, rows: list[Row], seed: int, cut: int) -> None:
    """Shuffled, cut and merged, the rows give the same value and interval, bit for bit."""
    assume(overlaps(rows))
    shuffled = shuffle(rows, seed)
    first, second = filled(name, shuffled[:cut]), filled(name, shuffled[cut:])
    second.merge(first)
    assert second.estimate() == filled(name, rows).estimate()


@pytest.mark.parametrize("heaviest", [3.0, 1e6])
def test_order_and_split_change_next_to_nothing_of_mle(heaviest: float) -> None:
    """What is solved for from a table of weights keeps twelve digits in any order and split."""
    rows = seeded_log(8, 500, heaviest)
    shuffled = shuffle(rows, 8)
    first, second = filled("mle", shuffled[:123]), filled("mle", shuffled[123:])
    second.merge(first)
    assert_close(second.estimate(), filled("mle", rows).estimate())


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(rows=logs())
def test_intervals_hold_their_value(name: str, rows: list[Row]) -> None:
    """An interval is never inverted, and its value lies in it."""
    assume(overlaps(rows))
    found = filled(name, rows).estimate()
    assert found.interval[0] <= found.value <= found.interval[1]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(rows=logs())
def test_higher_level_wider_interval(name: str, rows: list[Row]) -> None:
    """Asking for more confidence never narrows an interval."""
    assume(overlaps(rows))
    estimator = filled(name, rows)
    narrow, wide = estimator.estimate(0.8).interval, estimator.estimate(0.99).interval
    assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]
    if -math.inf < narrow[0] < narrow[1]:
        assert wide[1] - wide[0] > narrow[1] - narrow[0]


@pytest.mark.parametrize("name", ["ips", "snips", "clipped_ips"])
@given(rows=logs())
def test_the_logging_policy_earns_the_mean(name: str, rows: list[Row]) -> None:
    """With the logged probabilities as target, the estimate is the log's mean reward."""
    same = [(r, p_log, p_log, q, v) for r, p_log, _, q, v in rows]
    mean = float(sum(Fraction(row[0]) for row in rows) / len(rows))
    assert filled(name, same).estimate().value == mean


@pytest.mark.parametrize("name", ["cressie_read", "mle"])
@given(rows=logs())
def test_likelihoods_of_the_logging_policy(name: str, rows: list[Row]) -> None:
    """The same of those that solve for a distribution, to twelve digits."""
    same = [(r, p_log, p_log, q, v) for r, p_log, _, q, v in rows]
    mean = float(sum(Fraction(row[0]) for row in rows) / len(rows))
    room = 1e-12 * max(abs(row[0]) for row in rows)
    assert filled(name, same).estimate().value == pytest.approx(mean, rel=1e-12, abs=room)


@given(rows=logs(), shift=st.floats(-1e3, 1e3))
def test_shifting_rewards_shifts_snips(rows: list[Row], shift: float) -> None:
    """A constant added to all rewards moves snips by it and leaves its width alone."""
    assume(overlaps(rows))
    moved = [(r + shift, *rest) for r, *rest in rows]
    before = filled("snips", rows).estimate()
    after = filled("snips", [(row[0], row[1], row[2], row[3], row[4]) for row in moved]).estimate()
    largest = max(abs(row[0]) for row in rows) + abs(shift) + 1
    room = largest * 1e-9
    assert after.value == pytest.approx(before.value + shift, abs=room)
    width = before.interval[1] - before.interval[0]
    assert after.interval[1] - after.interval[0] == pytest.approx(width, rel=1e-6, abs=room)


@given(rows=logs())
def test_snips_stays_within_the_rewards(rows: list[Row]) -> None:
    """A weighted mean lies between the smallest and the largest reward."""
    assume(overlaps(rows))
    value = filled("snips", rows).estimate().value
    rewards = [row[0] for row in rows]
    room = 1e-12 * max(map(abs, rewards))
    assert min(rewards) - room <= value <= max(rewards) + room


@given(rows=logs())
def test_a_perfect_model_leaves_dr_nothing_to_correct(rows: list[Row]) -> None:
    """Where the model knows every reward, dr is dm, weights or no weights."""
    perfect = [(r, p_log, p_target, r, v) for r, p_log, p_target, _, v in rows]
    assert_close(filled("dr", perfect).estimate(), filled("dm", perfect).estimate())


@given(rows=logs())
def test_without_a_model_dr_is_ips(rows: list[Row]) -> None:
    """A model that says zero to everything takes nothing away and adds nothing."""
    silent = [(r, p_log, p_target, 0.0, 0.0) for r, p_log, p_target, _, _ in rows]
    assert_close(filled("dr", silent).estimate(), filled("ips", silent).estimate())


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_a_small_spread_beside_a_large_mean_is_kept(name: str) -> None:
    """Rewards that differ in their last digits keep their variance."""
    rows = [(1e9 + i % 2, 1.0, 1.0, 1e9 + i % 2, 1e9 + i % 2) for i in range(100)]
    low, high = filled(name, rows).estimate(level=0.95).interval
    half = student.ppf(0.975, 99) * math.sqrt(25 / 99 / 100)
    assert (high - low) / 2 == pytest.approx(half, rel=1e-6)  # the ends are float64


@pytest.mark.parametrize("name", NAMES)
def test_no_interactions_give_no_estimate(name: str) -> None:
    """An estimate from nothing is refused with a type of its own."""
    with pytest.raises(EmptySampleError):
        filled(name, []).estimate()


@pytest.mark.parametrize("name", NAMES)
def test_one_interaction_says_nothing_of_its_spread(name: str) -> None:
    """A single row gives a value and an infinite interval."""
    found = filled(name, [(2.0, 0.5, 0.5, 2.0, 2.0)]).estimate()
    assert (found.value, found.interval) == (2.0, (-math.inf, math.inf))


def test_no_overlap_is_an_error_for_snips() -> None:
    """Where no logged action has weight, a weighted mean does not exist."""
    with pytest.raises(NoOverlapError) as caught:
        filled("snips", [(1.0, 0.5, 0.0, 0.0, 0.0)] * 3).estimate()
    assert caught.value.interactions == 3


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95.0, math.nan])
def test_a_level_lies_between_0_and_1(level: float) -> None:
    """Levels such as 95 are refused, not taken for 0.95."""
    with pytest.raises(LevelError):
        filled("ips", seeded_log(1, 5, 2.0)).estimate(level)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(rows=logs(min_size=1))
def test_bounds_are_kept(name: str, rows: list[Row]) -> None:
    """Declared bounds hold value and interval, which stays in order around the value."""
    binary = [(float(r > 0), p_log, p_target, q, v) for r, p_log, p_target, q, v in rows]
    assume(overlaps(binary))
    found = filled(name, binary).estimate(bounds=Bounds(0.0, 1.0))
    assert 0 <= found.interval[0] <= found.value <= found.interval[1] <= 1


def test_a_reward_outside_its_bounds_is_an_error() -> None:
    """Bounds are promises; the row that breaks them is named."""
    evaluation = Evaluation(["ips"], IntervalSettings(bounds=Bounds(0.0, 1.0)))
    with pytest.raises(BadValueError) as caught:
        evaluation.add(Sample(np.array([0.0, 1.5]), np.ones(2), np.ones(2)))
    assert (caught.value.row, caught.value.column, caught.value.value) == (2, "reward", 1.5)


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (math.nan, 1.0)])
def test_bounds_hold_something(low: float, high: float) -> None:
    """Bounds the wrong way round, or without a number, are refused."""
    with pytest.raises(BoundsError):
        Bounds(low, high)


@pytest.mark.parametrize("name", [name for name, kind in ESTIMATORS.items() if kind.needs])
def test_an_absent_column_is_named(name: str) -> None:
    """Estimators that rest on a reward model say which column they miss."""
    with pytest.raises(MissingColumnError) as caught:
        Evaluation([name]).add(Sample(np.ones(2), np.ones(2), np.ones(2)))
    assert caught.value.needed_by == name


def test_unlike_statistics_do_not_merge() -> None:
    """Neither another estimator's nor those within other bounds can be merged in by mistake."""
    with pytest.raises(MergeError):
        ESTIMATORS["ips"]().statistics().merge(ESTIMATORS["dm"]().statistics())
    with pytest.raises(MergeError):
        Evaluation(["ips"]).merge(Evaluation(["ips"], IntervalSettings(bounds=Bounds(0, 1))))


def test_an_unknown_name_lists_the_known_ones() -> None:
    """A misspelt estimator is answered with the names that exist."""
    with pytest.raises(UnknownEstimatorError) as caught:
        make_estimators(["ips", "snip"])
    assert caught.value.name == "snip"
    assert set(caught.value.known) == set(ESTIMATORS)


@pytest.mark.parametrize("name", ["dr", "sndr", "mrdr"])
@given(rows=logs(), shift=st.floats(-1e3, 1e3))
def test_shifting_rewards_and_model_shifts_dr(name: str, rows: list[Row], shift: float) -> None:
    """A constant added to all rewards and to the model that predicts them is added to the value."""
    assume(overlaps(rows))
    moved = [
        (r + shift, p_log, p_target, q + shift, v + shift) for r, p_log, p_target, q, v in rows
    ]
    # The regression of mrdr is solved exactly, but from rows that the shift has rounded.
    assume(name != "mrdr" or len({row[2] / row[1] for row in rows}) > 3)
    before, after = filled(name, rows).estimate().value, filled(name, moved).estimate().value
    heaviest = max(row[2] / row[1] for row in rows) + 1
    largest = max(abs(x) for row in rows for x in (row[0], row[3], row[4])) + abs(shift) + 1
    room = 1e-9 * heaviest * largest if name == "dr" else 1e-6 * heaviest * largest
    assert after == pytest.approx(before + shift, abs=room)
