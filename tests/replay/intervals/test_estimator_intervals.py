"""Every method, asked through an evaluation, keeps the promises that all intervals make."""

import math
import pickle
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from scipy.special import stdtrit

from benchmarks.worlds import SHAPES
from replay.errors import (
    BadValueError,
    MergeError,
    MissingColumnError,
    NoIntervalError,
    UndeclaredError,
)
from replay.estimate import Bounds, Estimate
from replay.estimators import ESTIMATORS
from replay.evaluation import Evaluation
from replay.intervals.settings import IntervalSettings, Method
from replay.sample import STAGES, Sample

NAMES = ["ips", "snips", "dm", "dr"]
COLUMNS = ("reward", "p_log", "p_target", "q_logged", "v_target", "subject")
DECLARED = IntervalSettings(bounds=Bounds(0.0, 1.0), max_weight=40.0)
ALL = [
    replace(DECLARED, method=method, clustered=clustered)
    for method in Method
    for clustered in (False, True)
]
IDS = [f"{one.method.value}{' by subject' if one.clustered else ''}" for one in ALL]
STAGED = [f"{joint}_{stage}" for joint in ("p_log", "p_target") for stage in STAGES]
PROMISED = [Method.BERNSTEIN, Method.LIKELIHOOD, Method.SEQUENCE]
ORDERED = [
    one
    for one in ALL
    if one.method is Method.SEQUENCE or (one.method is Method.BOOTSTRAP and not one.clustered)
]


def log(name: str = "clustered", seed: int = 3, n: int | None = None) -> Sample:
    """A simulated log, or its first rows, with a model that keeps the bounds."""
    sample = SHAPES[name].draw(np.random.default_rng(seed)).sample
    whole = part(sample, slice(0, n))
    assert whole.q_logged is not None
    assert whole.v_target is not None
    return replace(
        whole, q_logged=np.clip(whole.q_logged, 0, 1), v_target=np.clip(whole.v_target, 0, 1)
    )


def part(sample: Sample, rows: slice | np.ndarray) -> Sample:
    """Some rows of a log."""
    return Sample(**{name: getattr(sample, name)[rows] for name in COLUMNS})


def estimates(
    samples: list[Sample], settings: IntervalSettings, level: float = 0.95
) -> dict[str, Estimate]:
    """Of an evaluation of chunks, one after the other."""
    evaluation = Evaluation(NAMES, settings)
    for sample in samples:
        evaluation.add(sample)
    return {
        name: one for name, one in evaluation.result(level).estimates.items() if one is not None
    }


def assert_same(one: dict[str, Estimate], other: dict[str, Estimate]) -> None:
    """The same values and intervals, to twelve digits."""
    assert one.keys() == other.keys()
    for name, found in one.items():
        expected = (other[name].value, *other[name].interval)
        assert (found.value, *found.interval) == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("settings", ALL, ids=IDS)
@pytest.mark.parametrize("n", [1, 2, 5, 200])
def test_intervals_are_nested_within_bounds_and_hold_the_value(
    settings: IntervalSettings, n: int
) -> None:
    """Never inverted, never outside what was declared, wider for a higher level, on any size."""
    sample = log(n=n)
    found = [estimates([sample], settings, level) for level in (0.5, 0.9, 0.99)]
    for name in found[0]:
        for one in found:
            assert 0 <= one[name].interval[0] <= one[name].value <= one[name].interval[1] <= 1
        for narrow, wide in pairwise(found):
            assert wide[name].interval[0] <= narrow[name].interval[0] + 1e-9
            assert wide[name].interval[1] >= narrow[name].interval[1] - 1e-9


@pytest.mark.parametrize("settings", ALL, ids=IDS)
def test_chunks_change_nothing(settings: IntervalSettings) -> None:
    """Rows that come in pieces, even of a subject, give the same intervals."""
    sample = log(n=300)
    pieces = [part(sample, slice(at, at + 70)) for at in range(0, 300, 70)]
    assert_same(estimates(pieces, settings), estimates([sample], settings))


@pytest.mark.parametrize(
    "settings", [one for one in ALL if one.method is not Method.SEQUENCE], ids=str
)
def test_parts_of_other_processes_change_nothing(settings: IntervalSettings) -> None:
    """Evaluations that travelled and merge in order answer as one that saw all rows."""
    sample = log(n=300)
    whole = Evaluation(NAMES, settings)
    for at in range(0, 300, 80):
        one = Evaluation(NAMES, settings)
        one.add(part(sample, slice(at, at + 80)))
        whole.merge(pickle.loads(pickle.dumps(one)))  # noqa: S301 - our own bytes
    found = {name: one for name, one in whole.result().estimates.items() if one is not None}
    assert_same(found, estimates([sample], settings))


@pytest.mark.parametrize("settings", [one for one in ALL if one not in ORDERED], ids=str)
def test_order_changes_nothing(settings: IntervalSettings) -> None:
    """Shuffled rows give the same intervals, but for methods that look at the order."""
    sample = log(n=300)
    shuffled = part(sample, np.random.default_rng(1).permutation(300))
    assert_same(estimates([shuffled], settings), estimates([sample], settings))


@pytest.mark.parametrize("method", [Method.SKEW, Method.DELTA, Method.LIKELIHOOD])
def test_subjects_of_one_row_are_independent_rows(method: Method) -> None:
    """Clustered by subjects that have one row each, an interval is that of independent rows."""
    sample = replace(log(n=400), subject=np.arange(400) * 7919)
    settings = replace(DECLARED, method=method)
    apart = estimates([sample], replace(settings, clustered=False))
    for name, found in estimates([sample], replace(settings, clustered=True)).items():
        assert found.interval == pytest.approx(apart[name].interval, rel=1e-9)


@pytest.mark.parametrize(
    "method", [Method.SKEW, Method.DELTA, Method.BOOTSTRAP, Method.LIKELIHOOD], ids=str
)
def test_rows_of_a_subject_that_repeat_say_nothing_new(method: Method) -> None:
    """Every row three times within its subject leaves a clustered interval as it was."""
    sample = log(n=300)
    settings = replace(DECLARED, method=method, clustered=True)
    tripled = part(sample, np.repeat(np.arange(300), 3))
    once = estimates([sample], settings)
    for name, found in estimates([tripled], settings).items():
        assert found.interval == pytest.approx(once[name].interval, rel=1e-6)


@pytest.mark.parametrize("method", [Method.SKEW, Method.DELTA, Method.BOOTSTRAP], ids=str)
def test_likelihood_estimates_are_clustered_as_well(method: Method) -> None:
    """`mle` has an interval by subject: wider where rows depend, and the same if they repeat."""
    sample = log()
    widths = {}
    for clustered, rows in product((False, True), (1, 3)):
        evaluation = Evaluation(["mle"], IntervalSettings(method, clustered=clustered))
        evaluation.add(part(sample, np.repeat(np.arange(len(sample)), rows)))
        found = evaluation.result()
        estimate = found.estimates["mle"]
        assert estimate is not None
        widths[clustered, rows] = np.ptp(estimate.interval)
        assert ("clustered by subject" in estimate.method) is clustered
    assert widths[True, 1] > 1.5 * widths[False, 1]
    assert widths[True, 3] == pytest.approx(widths[True, 1], rel=1e-3)


def of_loggers(sample: Sample, rows: slice | np.ndarray, *, clustered: bool) -> Estimate:
    """`weighted_ips` of some rows, made by two loggers that share the subjects."""
    evaluation = Evaluation(["weighted_ips"], IntervalSettings(clustered=clustered))
    loggers = (np.arange(len(sample)) % 2)[rows]
    for half in np.array_split(np.arange(len(loggers)), 2):
        other = Evaluation(["weighted_ips"], IntervalSettings(clustered=clustered))
        other.add(replace(part(part(sample, rows), half), logger=loggers[half]))
        evaluation.merge(other)
    found = evaluation.result().estimates["weighted_ips"]
    assert found is not None
    return found


def test_several_loggers_share_subjects() -> None:
    """`weighted_ips` is clustered over all loggers: wider, the same if rows repeat, and merged."""
    sample = log()
    every, tenfold = slice(None), np.repeat(np.arange(len(sample)), 10)
    apart, together = (of_loggers(sample, every, clustered=one) for one in (False, True))
    assert np.ptp(together.interval) > 1.3 * np.ptp(apart.interval)
    assert together.value == apart.value
    repeated = of_loggers(sample, tenfold, clustered=True)
    assert repeated.interval == pytest.approx(together.interval, rel=1e-3)
    assert "clustered by subject" in together.method
    assert "rows independent" in apart.method


def test_subjects_of_several_loggers_have_the_variance_of_their_sums() -> None:
    """With factors c of the loggers it is G / (G - 1) sum of (sum of c (S - V m) / n)^2."""
    sample = log(n=400)
    loggers, scores = np.arange(400) % 2, sample.weighted_reward
    means, variances = zip(
        *((scores[loggers == one].mean(), scores[loggers == one].var(ddof=1)) for one in (0, 1)),
        strict=True,
    )
    factors = (200 / np.array(variances)) / (200 / np.array(variances)).sum()
    influence = (factors[loggers] / 200) * (scores - np.array(means)[loggers])
    assert sample.subject is not None
    sums = np.array([influence[sample.subject == one].sum() for one in np.unique(sample.subject)])
    error = math.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1))
    found = of_loggers(sample, slice(None), clustered=True)
    half = float(stdtrit(len(sums) - 1, 0.975)) * error
    assert found.interval == pytest.approx((found.value - half, found.value + half), rel=2e-2)


@pytest.mark.parametrize(
    ("name", "caveat"),
    [("dm", "without the model's own error"), ("switch_dr", "without the limit's bias")],
)
def test_what_an_interval_does_not_hold_is_said(name: str, caveat: str) -> None:
    """The method's caveat reaches JSON, however the interval is made."""
    for settings in (IntervalSettings(), IntervalSettings(Method.BOOTSTRAP, clustered=True)):
        evaluation = Evaluation([name], settings)
        evaluation.add(log(n=200))
        assert caveat in evaluation.result().to_json()["estimates"][name]["method"]


def test_dependent_rows_have_wider_intervals() -> None:
    """Where customers like or dislike everything, clustered intervals are the wider ones."""
    sample = log()
    widths = {
        clustered: np.ptp(
            estimates([sample], IntervalSettings(clustered=clustered))["snips"].interval
        )
        for clustered in (False, True)
    }
    assert widths[True] > 1.5 * widths[False]


def test_methods_agree_on_an_easy_log() -> None:
    """Of many light rows the asymptotic methods say nearly the same, and the others more room."""
    sample = replace(log("binary", n=400), subject=np.arange(400))
    found = {
        method: estimates([sample], replace(DECLARED, method=method, clustered=False))["snips"]
        for method in Method
    }
    usual = found[Method.DELTA].interval
    width = usual[1] - usual[0]
    for method in (Method.SKEW, Method.BOOTSTRAP, Method.LIKELIHOOD):
        assert found[method].interval == pytest.approx(usual, abs=0.1 * width)
    for method in (Method.BERNSTEIN, Method.SEQUENCE):
        assert found[method].interval[0] < usual[0]
        assert found[method].interval[1] > usual[1]


def test_a_sequence_in_parts_is_about_that_of_the_whole() -> None:
    """Parts predict anew, which costs a little and changes no value."""
    sample = log("rare")
    settings = replace(DECLARED, method=Method.SEQUENCE)
    whole = Evaluation(["snips"], settings)
    for at in range(0, 4_000, 500):
        one = Evaluation(["snips"], settings)
        one.add(part(sample, slice(at, at + 500)))
        whole.merge(one)
    expected = estimates([sample], settings)["snips"].interval
    found = whole.result().estimates["snips"]
    assert found is not None
    assert found.interval == pytest.approx(expected, abs=0.02 * (expected[1] - expected[0]))


@pytest.mark.parametrize(
    ("method", "declared", "needed"),
    [
        (Method.BERNSTEIN, {}, "--bounds"),
        (Method.BERNSTEIN, {"bounds": Bounds(0, 1)}, "--max-weight"),
        (Method.SEQUENCE, {"max_weight": 3.0}, "--bounds"),
        (Method.SEQUENCE, {"bounds": Bounds(0, math.inf)}, "--bounds"),
        (Method.SKEW, {"max_weight": 0.5}, "at least 1"),
    ],
)
def test_what_is_not_declared_is_named(
    method: Method, declared: dict[str, Bounds | float], needed: str
) -> None:
    """A method that rests on a promise says which one, before any row is read."""
    with pytest.raises(UndeclaredError, match=needed):
        IntervalSettings(method, **declared)  # type: ignore[arg-type]


def test_a_sequence_of_dr_needs_a_largest_weight() -> None:
    """A weighted error can be as negative as the weight is large."""
    with pytest.raises(UndeclaredError, match="--max-weight"):
        Evaluation(["dr"], IntervalSettings(Method.SEQUENCE, bounds=Bounds(0, 1)))


def with_every_column(sample: Sample) -> Sample:
    """A log whose three stages have equal weights, made by two loggers, of offers all unlike."""
    assert sample.q_logged is not None
    columns: dict[str, Any] = {
        f"{joint}_{stage}": np.cbrt(getattr(sample, joint))
        for joint in ("p_log", "p_target")
        for stage in STAGES
    }
    columns |= {f"{kind}_{stage}": sample.q_logged for kind in ("q", "v") for stage in STAGES}
    return replace(
        sample,
        **columns,
        logger=np.arange(len(sample)) % 2,
        p_mixture=sample.p_log,
        p_log_features=sample.p_log,
        p_target_features=sample.p_target,
    )


@pytest.mark.parametrize("clustered", [False, True], ids=["rows", "subjects"])
@pytest.mark.parametrize("method", PROMISED, ids=str)
def test_every_estimator_has_intervals_by_promises(method: Method, clustered: bool) -> None:  # noqa: FBT001 - a parameter
    """They are about the policy's value, so that estimators of one form have the same one.

    But for holding the value that is shown, which may lie outside.
    """
    settings = replace(DECLARED, method=method, clustered=clustered)
    names = [one for one in ESTIMATORS if one != "balanced_ips" or method is not Method.SEQUENCE]
    evaluation = Evaluation(names, settings)
    evaluation.add(with_every_column(log(n=300)))
    found = evaluation.result().estimates
    forms = {"dr": ("sndr", "mrdr", "switch_dr", "dr_os", "clipped_dr"), "snips": ("mle",)}
    forms |= {"snips": ("mle", "cressie_read"), "ips": ("clipped_ips", "stage_ips", "mips")}
    for form, others in forms.items():
        for name in (form, *others):
            estimate, like = found[name], found[form]
            assert estimate is not None
            assert like is not None
            low, high = like.interval
            expected = min(low, estimate.value), max(high, estimate.value)
            assert estimate.interval == pytest.approx(expected, rel=1e-9)
    for estimate in found.values():
        assert estimate is not None
        assert 0 <= estimate.interval[0] <= estimate.value <= estimate.interval[1] <= 1
        assert method is not Method.BERNSTEIN or "empirical Bernstein" in estimate.method


def test_a_mixture_has_no_sequence() -> None:
    """By the mixture's weights a row alone does not have the value as its mean, but all do."""
    with pytest.raises(NoIntervalError, match=r"balanced_ips.*only over all loggers"):
        Evaluation(["balanced_ips"], replace(DECLARED, method=Method.SEQUENCE))


def of_stages(seed: int, n: int = 400) -> tuple[Sample, float]:
    """A chain of three stages of two choices each, and what the target policy is worth."""
    generator = np.random.default_rng(seed)
    p_log, p_target = np.array([0.5, 0.4, 0.6]), np.array([0.8, 0.7, 0.3])
    chosen = generator.uniform(size=(n, 3)) < p_log
    chance = 0.2 + chosen @ np.array([0.3, 0.1, 0.2])
    logged, target = (np.where(chosen, p, 1 - p) for p in (p_log, p_target))
    values, columns = np.array([0.3, 0.1, 0.2]), {}
    for place, stage in enumerate(STAGES):
        so_far = 0.2 + chosen[:, : place + 1] @ values[: place + 1]
        before = 0.2 + chosen[:, :place] @ values[:place]
        columns[f"q_{stage}"] = so_far + p_target[place + 1 :] @ values[place + 1 :]
        columns[f"v_{stage}"] = before + p_target[place:] @ values[place:]
        columns[f"p_log_{stage}"] = logged[:, place]
        columns[f"p_target_{stage}"] = target[:, place]
    reward = (generator.uniform(size=n) < chance).astype(float)
    whole = Sample(reward, logged.prod(axis=1), target.prod(axis=1), **columns)
    return whole, float(0.2 + p_target @ values)


@pytest.mark.parametrize("method", PROMISED, ids=str)
def test_intervals_by_stages_hold_the_truth(method: Method) -> None:
    """Those of `stage_dr` miss no more often than they say, in 100 logs of a chain."""
    settings = IntervalSettings(method, bounds=Bounds(0, 1), max_weight=5.0)
    held = 0
    for seed in range(100):
        evaluation = Evaluation(["stage_dr"], settings)
        sample, truth = of_stages(seed)
        evaluation.add(sample)
        found = evaluation.result().estimates["stage_dr"]
        assert found is not None
        held += found.interval[0] <= truth <= found.interval[1]
    assert held >= (90 if method is Method.LIKELIHOOD else 95)


LIGHT = {"p_log": 0.01, "p_log_offer": 0.01, "p_log_channel": 1.0, "p_log_time": 1.0}
"""An offer that the target makes a hundred times as likely, on a channel that it hardly takes."""
LIGHT |= {"p_target": 0.01, "p_target_offer": 1.0, "p_target_channel": 0.01, "p_target_time": 1.0}


RARE = {"p_log": 1e-3, "p_log_offer": 1e-3, "p_log_channel": 1.0, "p_log_time": 1.0}
"""An offer that log and target seldom make."""
RARE |= {name.replace("log", "target"): chance for name, chance in RARE.items()}


@pytest.mark.parametrize(
    ("name", "changed", "named"),
    [
        ("mips", {**RARE, "p_log_features": 1e-3, "p_target_features": 1.0}, "feature weight"),
        ("balanced_ips", {"p_mixture": 1e-6}, "mixture weight"),
        ("stage_dr", LIGHT, "weight of the offer"),
        ("stage_dr", {"q_channel": 1.5}, "q_channel"),
        ("stage_dr", {"v_time": -0.5}, "v_time"),
    ],
)
def test_promises_hold_for_what_an_estimator_weighs_by(
    name: str, changed: dict[str, float], named: str
) -> None:
    """The largest weight is that of features, of mixtures, and up to each stage of a chain."""
    sample = with_every_column(log(n=4))
    columns = {column: getattr(sample, column).copy() for column in changed}
    for column, value in changed.items():
        columns[column][2] = value
    with pytest.raises(BadValueError) as caught:
        Evaluation([name], replace(DECLARED, method=Method.BERNSTEIN)).add(
            replace(sample, **columns)
        )
    assert (caught.value.row, caught.value.column) == (3, named)


def test_a_promise_is_about_the_weights_that_are_used() -> None:
    """What an offer's own weight would be is no matter where its features are weighed."""
    sample = with_every_column(log(n=200))
    unstaged: dict[str, Any] = dict.fromkeys(STAGED)
    rare = replace(sample, **unstaged)
    p_log = rare.p_log.copy()
    p_log[2] = rare.p_target[2] / 100
    rare = replace(rare, p_log=p_log)
    for method in (*PROMISED, Method.SKEW):
        settings = replace(DECLARED, method=method)
        evaluation = Evaluation(["mips"], settings)
        evaluation.add(rare)
        assert evaluation.n == 200
        with pytest.raises(BadValueError, match="row 3, column weight"):
            Evaluation(["ips"], settings).add(rare)


@pytest.mark.parametrize("column", ["reward", "p_target", "q_logged", "v_target"])
def test_a_row_that_breaks_a_promise_is_named(column: str) -> None:
    """Rewards, weights and modelled values beyond what was declared stop the evaluation."""
    rows = {name: getattr(log(n=4), name).copy() for name in COLUMNS}
    rows["p_log"][2] = 1e-3
    rows["p_target"][2] = 1e-3
    rows[column][2] = 1.0 if column == "p_target" else 1.5
    with pytest.raises(BadValueError) as caught:
        Evaluation(NAMES, replace(DECLARED, method=Method.BERNSTEIN)).add(Sample(**rows))
    named = "weight" if column == "p_target" else column
    assert (caught.value.row, caught.value.column) == (3, named)


def test_clusters_need_subjects() -> None:
    """Asking for clusters without saying who is who is an error, not a silent independence."""
    sample = Sample(np.ones(3), np.ones(3), np.ones(3))
    with pytest.raises(MissingColumnError, match="subject"):
        Evaluation(["ips"], IntervalSettings(clustered=True)).add(sample)


def test_unlike_intervals_do_not_merge() -> None:
    """Evaluations that keep other things of their rows are refused."""
    with pytest.raises(MergeError):
        Evaluation(["ips"]).merge(Evaluation(["ips"], IntervalSettings(Method.DELTA)))


def test_the_result_says_how_it_was_made() -> None:
    """JSON names the method, clustering and the number of independent units."""
    evaluation = Evaluation(["ips"], IntervalSettings(clustered=True))
    sample = log(n=100)
    evaluation.add(sample)
    found = evaluation.result().to_json()
    assert sample.subject is not None
    units = len(set(sample.subject.tolist()))
    assert found["intervals"] == {"method": "skew", "clustered": True, "units": units}
    assert "skewness, rows clustered by subject" in found["estimates"]["ips"]["method"]
