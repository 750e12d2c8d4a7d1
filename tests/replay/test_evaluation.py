"""An evaluation runs everything over one stream and answers as its contract says."""

import json
import math
import pickle
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from replay.errors import MergeError, UnknownEstimatorError
from replay.estimate import Bounds
from replay.estimators import make_estimators
from replay.evaluation import Evaluation, EvaluationResult
from replay.intervals.settings import IntervalSettings, Method
from replay.verdict import Verdict
from tests.replay.samples import Row, logs, sample_of, seeded_log

NAMES = ["clipped_ips", "cressie_read", "dm", "dr", "dr_os", "ips", "mrdr", "sndr", "snips"]


def evaluated(*chunks: list[Row], names: list[str] = NAMES) -> Evaluation:
    """An evaluation of chunks, one after the other."""
    evaluation = Evaluation(names)
    for chunk in chunks:
        evaluation.add(sample_of(chunk))
    return evaluation


def result_of(*chunks: list[Row]) -> EvaluationResult:
    """What it finds."""
    return evaluated(*chunks).result()


@settings(max_examples=20)  # each evaluates up to six times, by nine estimators of many sums
@given(rows=logs(min_size=1), cuts=st.lists(st.integers(0, 25), max_size=4))
@example(rows=[(0.0, 1.0, 0.0, 0.0, 2.4e-196), (2.2250738585e-313, 0.75, 1.0, 0.0, 1.0)], cuts=[])
def test_processes_and_chunks_change_nothing(rows: list[Row], cuts: list[int]) -> None:
    """Parts that travelled between processes merge to the same answer, bit for bit."""
    edges = [0, *sorted(cuts), len(rows)]
    parts = [evaluated(rows[low:high]) for low, high in pairwise(edges)]
    whole = Evaluation(NAMES)
    for part in reversed(parts):
        whole.merge(pickle.loads(pickle.dumps(part)))  # noqa: S301 - our own bytes
    assert whole.result() == result_of(rows)


def test_it_reports_what_its_parts_report() -> None:
    """Each estimate is the estimator's own, and n is the number of rows."""
    rows = seeded_log(4, 200, 5.0)
    evaluation = Evaluation(NAMES, IntervalSettings(Method.DELTA))
    evaluation.add(sample_of(rows))
    found = evaluation.result()
    for estimator in make_estimators(NAMES):
        statistics = estimator.statistics()
        statistics.add(sample_of(rows))
        expected, reported = estimator.estimate(statistics), found.estimates[estimator.name]
        assert reported is not None
        assert reported.value == expected.value
        assert reported.interval == pytest.approx(expected.interval, rel=1e-12)
    assert found.n == 200


def test_the_contract_of_evaluate() -> None:
    """The JSON form has the contract's keys and survives a strict encoder."""
    found = json.loads(json.dumps(result_of(seeded_log(4, 500, 3.0)).to_json(), allow_nan=False))
    assert {"n", "estimates", "diagnostics", "verdict", "reasons"} <= found.keys()
    assert found["n"] == 500
    assert set(found["estimates"]) == set(NAMES)
    for estimate in found["estimates"].values():
        assert set(estimate) - {"parameters"} == {"value", "interval", "method"}
        assert estimate["interval"][0] < estimate["value"] < estimate["interval"][1]
    assert {"ess", "max_weight", "mean_weight"} <= found["diagnostics"].keys()
    assert found["verdict"] in {"ok", "warn", "refuse"}


@pytest.mark.parametrize(
    "rows",
    [[], [(1.0, 0.5, 0.5, 0.0, 0.0)], [(1.0, 0.5, 0.0, 0.0, 0.0)] * 3],
    ids=["no rows", "one row", "no overlap"],
)
def test_what_is_undefined_is_null(rows: list[Row]) -> None:
    """Nothing infinite or undefined reaches JSON, and the verdict explains."""
    found = result_of(rows).to_json()
    json.dumps(found, allow_nan=False)
    assert found["verdict"] == "refuse"
    assert found["reasons"]
    assert None in found["estimates"]["snips"]["interval"]


def test_a_refused_estimate_is_no_headline() -> None:
    """JSON carries the number beside the verdict; the headline withholds it."""
    rows = [(float(i % 2), 1e-6, 1.0 if i == 0 else 1e-6, 0.0, 0.0) for i in range(10_000)]
    found = result_of(rows)
    assert found.verdict is Verdict.REFUSE
    assert found.headline("snips") is None
    assert found.to_json()["estimates"]["snips"]["value"] == pytest.approx(0.005, rel=0.02)


def test_a_sound_estimate_is_a_headline() -> None:
    """What is not refused may be shown."""
    rows = [(float(i % 2), 0.5, 0.5, 0.0, 0.0) for i in range(1_000)]
    headline = result_of(rows).headline("snips")
    assert headline is not None
    assert headline.value == 0.5


def test_higher_level_wider_interval() -> None:
    """The level reaches every estimator."""
    evaluation = evaluated(seeded_log(4, 200, 5.0))
    for name in NAMES:
        narrow, wide = (evaluation.result(level).estimates[name] for level in (0.5, 0.999))
        assert narrow is not None
        assert wide is not None
        assert wide.interval[0] < narrow.interval[0] < narrow.interval[1] < wide.interval[1]


def test_bounds_reach_the_estimators() -> None:
    """Declared bounds hold every interval."""
    evaluation = Evaluation(["ips", "snips"], IntervalSettings(bounds=Bounds(0.0, 1.0)))
    evaluation.add(sample_of([(1.0, 0.1, 0.9, 0.0, 0.0), (0.0, 0.5, 0.5, 0.0, 0.0)]))
    for estimate in evaluation.result().estimates.values():
        assert estimate is not None
        assert (estimate.interval[0] >= 0, estimate.interval[1] <= 1) == (True, True)
        assert math.isfinite(estimate.value)


def test_unlike_evaluations_do_not_merge() -> None:
    """Evaluations with other estimators are refused, not merged in part."""
    with pytest.raises(MergeError):
        Evaluation(["ips"]).merge(Evaluation(["ips", "snips"]))


def test_an_unknown_estimator_is_named() -> None:
    """A misspelt name stops before any row is read."""
    with pytest.raises(UnknownEstimatorError):
        Evaluation(["ipw"])
