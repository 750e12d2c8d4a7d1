"""The difference of two policies has the interval that their common rows give it."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import t as student

from replay.errors import (
    BadValueError,
    EmptySampleError,
    MergeError,
    NoOverlapError,
    UnknownEstimatorError,
    UnpairedError,
)
from replay.estimate import Bounds, Estimate
from replay.estimators import ESTIMATORS
from replay.intervals.settings import IntervalSettings, Method
from replay.paired import PairedDifference, make_paired
from replay.sample import Sample
from tests.replay.samples import (
    Row,
    logs,
    mean_reference,
    sample_of,
    seeded_log,
    shuffle,
    weighted_rewards_of,
    weights_of,
)

FORMS = ["ips", "snips", "dr"]


def swapped(rows: Sequence[Row]) -> list[Row]:
    """The same interactions with another policy's probabilities."""
    return [(r, p_log, 1 - p_target, q, v) for r, p_log, p_target, q, v in rows]


def compared(
    form: str,
    candidate: Sequence[Row],
    baseline: Sequence[Row],
    method: Method = Method.SKEW,
) -> PairedDifference:
    """A comparison that has seen both."""
    paired = make_paired(form, IntervalSettings(method))
    paired.add(sample_of(candidate), sample_of(baseline))
    return paired


def estimate_of(name: str, sample: Sample) -> Estimate:
    """One policy's own estimate."""
    estimator = ESTIMATORS[name]()
    statistics = estimator.statistics()
    statistics.add(sample)
    return estimator.estimate(statistics)


def both_overlap(rows: Sequence[Row]) -> bool:
    """Whether both policies have weight."""
    return any(row[2] > 0 for row in rows) and any(row[2] < 1 for row in rows)


@pytest.mark.parametrize("form", FORMS)
@given(rows=logs())
def test_a_policy_does_not_differ_from_itself(form: str, rows: list[Row]) -> None:
    """The difference of identical policies is exactly zero, and so is its interval."""
    assume(both_overlap(rows))
    found = compared(form, rows, rows).estimate()
    assert (found.value, found.interval) == (0.0, (0.0, 0.0))


@pytest.mark.parametrize("form", FORMS)
@given(rows=logs())
def test_the_difference_is_that_of_the_estimates(form: str, rows: list[Row]) -> None:
    """Its value is the candidate's estimate minus the baseline's."""
    assume(both_overlap(rows))
    values = [estimate_of(form, sample_of(one)).value for one in (rows, swapped(rows))]
    room = 1e-12 * (abs(values[0]) + abs(values[1])) + 1e-300
    found = compared(form, rows, swapped(rows)).estimate().value
    assert found == pytest.approx(values[0] - values[1], rel=1e-9, abs=room)


@pytest.mark.parametrize("form", FORMS)
@given(rows=logs(), seed=st.integers(0, 99), cut=st.integers(0, 25))
def test_order_and_split_change_nothing(form: str, rows: list[Row], seed: int, cut: int) -> None:
    """Shuffled, cut and merged, the rows give the same difference, bit for bit."""
    assume(both_overlap(rows))
    shuffled = shuffle(rows, seed)
    first = compared(form, shuffled[:cut], swapped(shuffled[:cut]))
    first.merge(compared(form, shuffled[cut:], swapped(shuffled[cut:])))
    assert first.estimate() == compared(form, rows, swapped(rows)).estimate()


@pytest.mark.parametrize("form", FORMS)
@given(rows=logs())
def test_turned_round_the_difference_changes_sign(form: str, rows: list[Row]) -> None:
    """Baseline against candidate is the mirror image of candidate against baseline."""
    assume(both_overlap(rows))
    there = compared(form, rows, swapped(rows), Method.DELTA).estimate()
    back = compared(form, swapped(rows), rows, Method.DELTA).estimate()
    assert (back.value, back.interval) == (-there.value, (-there.interval[1], -there.interval[0]))


def influence(rows: Sequence[Row]) -> tuple[list[Fraction], Fraction]:
    """Each row's influence on the weighted mean, and that mean."""
    weights, tops = weights_of(rows), weighted_rewards_of(rows)
    total = sum(weights, Fraction(0))
    ratio = sum(tops, Fraction(0)) / total
    pairs = zip(tops, weights, strict=True)
    return [(top - ratio * weight) * len(rows) / total for top, weight in pairs], ratio


@pytest.mark.parametrize(("n", "heaviest"), [(2, 2), (50, 3), (300, 1e6)])
def test_agrees_with_the_linearised_variance(n: int, heaviest: float) -> None:
    """The snips form equals the mean of influence functions, computed row by row in fractions."""
    rows = seeded_log(n, n, heaviest)
    candidate, values_c = influence(rows)
    baseline, values_b = influence(swapped(rows))
    value = float(values_c - values_b)
    both = mean_reference(c - b for c, b in zip(candidate, baseline, strict=True))
    half = student.ppf(0.975, n - 1) * math.sqrt(both.variance)
    found = compared("snips", rows, swapped(rows), Method.DELTA).estimate()
    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.interval == pytest.approx((value - half, value + half), rel=1e-11)


def test_pairing_beats_two_separate_intervals() -> None:
    """Nearly equal policies are told apart although their own intervals overlap."""
    generator = np.random.default_rng(5)
    n, p_log = 20_000, 0.5
    taken = generator.uniform(size=n) < p_log
    reward = generator.normal(10 + taken, 3)
    logged = np.full(n, p_log)
    policies = [Sample(reward, logged, np.where(taken, share, 1 - share)) for share in (0.52, 0.50)]
    separate = [estimate_of("snips", one).interval for one in policies]
    paired = make_paired("snips")
    paired.add(*policies)
    assert separate[0][0] < separate[1][1]
    assert paired.estimate().interval[0] > 0


@pytest.mark.parametrize("column", ["reward", "p_log"])
def test_other_interactions_are_refused(column: str) -> None:
    """Two samples that are not the same interactions cannot be compared as if they were."""
    rows = seeded_log(1, 4, 2.0)
    place = ["reward", "p_log"].index(column)
    other = [tuple(0.123 if i == place else x for i, x in enumerate(row)) for row in rows]
    with pytest.raises(UnpairedError) as caught:
        make_paired("ips").add(sample_of(rows), sample_of(other))  # type: ignore[arg-type]
    assert caught.value.column == column


def test_what_cannot_be_compared_says_so() -> None:
    """No rows, no overlap, unlike forms and unknown forms each have their own error."""
    with pytest.raises(EmptySampleError):
        make_paired("ips").estimate()
    with pytest.raises(NoOverlapError):
        compared(
            "snips", [(1.0, 0.5, 0.0, 0.0, 0.0)] * 2, [(1.0, 0.5, 1.0, 0.0, 0.0)] * 2
        ).estimate()
    with pytest.raises(MergeError):
        make_paired("ips").merge(make_paired("snips"))
    with pytest.raises(UnknownEstimatorError):
        make_paired("switch_dr")


def passes_by_peeking(method: Method, seed: int) -> bool:
    """Whether a policy that is no better than another seems better at one of 40 looks."""
    generator = np.random.default_rng(seed)
    settings = IntervalSettings(method, bounds=Bounds(0.0, 1.0))
    paired = make_paired("snips", settings)
    preferences = (np.array([0.6, 0.2, 0.2]), np.array([0.2, 0.2, 0.6]))
    for _ in range(40):
        action = generator.integers(3, size=25)
        reward = (generator.uniform(size=25) < 0.3).astype(float)
        paired.add(*(Sample(reward, np.full(25, 1 / 3), one[action]) for one in preferences))
        if paired.estimate().interval[0] > 0:
            return True
    return False


def test_peeking_misleads_all_intervals_but_sequences() -> None:
    """Whoever stops at the first good look is right as often as said by a sequence alone."""
    usual, sequence = (
        sum(passes_by_peeking(method, seed) for seed in range(80))
        for method in (Method.SKEW, Method.SEQUENCE)
    )
    assert usual > 8
    assert sequence <= 2


def test_a_sequence_of_a_difference_finds_what_is_there() -> None:
    """Of two policies, neither of which made the log, the better one is found in the end."""
    generator = np.random.default_rng(4)
    action = generator.integers(3, size=4_000)
    reward = (generator.uniform(size=4_000) < np.array([0.5, 0.3, 0.1])[action]).astype(float)
    better, worse = np.array([0.6, 0.2, 0.2])[action], np.array([0.2, 0.2, 0.6])[action]
    widths = {}
    for most in (math.inf, 1.8):
        settings = IntervalSettings(Method.SEQUENCE, bounds=Bounds(0.0, 1.0), max_weight=most)
        paired = make_paired("snips", settings)
        samples = [Sample(reward, np.full(4_000, 1 / 3), policy) for policy in (better, worse)]
        paired.add(*samples)
        low, high = paired.estimate().interval
        assert 0 < low < 0.16 < high
        widths[most] = high - low
    assert widths[1.8] < widths[math.inf]


@pytest.mark.parametrize("method", [Method.BERNSTEIN, Method.LIKELIHOOD, Method.SEQUENCE])
def test_the_baseline_keeps_the_largest_weight_too(method: Method) -> None:
    """What is declared of weights holds for those of both policies."""
    rows = Sample(np.ones(3), np.full(3, 0.2), np.full(3, 0.2))
    heavy = Sample(np.ones(3), np.full(3, 0.2), np.array([0.2, 0.9, 0.2]))
    settings = IntervalSettings(method, bounds=Bounds(0.0, 1.0), max_weight=3.0)
    for pair in ((rows, heavy), (heavy, rows)):
        with pytest.raises(BadValueError, match="largest weight of 3"):
            make_paired("snips", settings).add(*pair)
