"""Comparisons say how a policy stands, alone and among others."""

import numpy as np
import pytest

from benchmarks.worlds import SHAPES
from replay.comparison import Standing, compared, standing_of
from replay.errors import UndeclaredError
from replay.estimate import Bounds, Estimate
from replay.intervals.settings import IntervalSettings, Method
from replay.paired import PairedDifference, make_paired
from replay.sample import Sample

DECLARED = {"bounds": Bounds(0.0, 1.0), "max_weight": 10.0}


def paired(method: Method = Method.SKEW, seed: int = 1) -> tuple[PairedDifference, float]:
    """Target against logging policy on a log, and the true difference."""
    world = SHAPES["binary"].draw(np.random.default_rng(seed))
    found = make_paired("snips", IntervalSettings(method, **DECLARED))  # type: ignore[arg-type]
    sample = world.sample
    found.add(sample, Sample(sample.reward, sample.p_log, sample.p_log))
    return found, world.target - world.logging


@pytest.mark.parametrize(
    ("interval", "standing"),
    [
        ((0.1, 0.2), Standing.BETTER),
        ((-0.2, -0.1), Standing.WORSE),
        ((-0.1, 0.2), Standing.UNCLEAR),
        ((0.0, 0.2), Standing.UNCLEAR),
        ((0.0, 0.0), Standing.UNCLEAR),
    ],
)
def test_standing_is_where_the_interval_lies(
    interval: tuple[float, float], standing: Standing
) -> None:
    """Only an interval that leaves 0 out says anything."""
    assert standing_of(Estimate(0.0, interval, "")) is standing


def test_simultaneous_intervals_are_those_of_a_stricter_level() -> None:
    """Of four comparisons at 95% each stands at 98.75% as well (Bonferroni)."""
    difference, _ = paired()
    found = compared(difference, 0.95, 4)
    assert found is not None
    assert found.simultaneous_level == pytest.approx(0.9875)
    assert found.difference == difference.estimate(0.95)
    assert found.simultaneous == difference.estimate(found.simultaneous_level)
    assert found.to_json()["comparisons"] == 4
    assert found.to_json()["simultaneous_interval"] == list(found.simultaneous.interval)


def test_one_comparison_is_simultaneous_with_itself() -> None:
    """Nothing is taken off where nothing else is compared."""
    found = compared(paired()[0], 0.95, 1)
    assert found is not None
    assert found.simultaneous == found.difference


def test_of_nothing_there_is_no_comparison() -> None:
    """Without rows there is none, and no error."""
    assert compared(make_paired("snips"), 0.95, 2) is None


@pytest.mark.parametrize("method", Method)
def test_every_method_compares_policies(method: Method) -> None:
    """Differences lie within what bounds allow, hold the truth here, and are nested."""
    difference, truth = paired(method)
    narrow, wide = difference.estimate(0.9), difference.estimate(0.99)
    for one in (narrow, wide):
        low, high = one.interval
        assert -1 <= low <= one.value <= high <= 1
        assert low <= truth <= high
    assert wide.interval[0] <= narrow.interval[0]
    assert wide.interval[1] >= narrow.interval[1]


def test_a_likelihood_of_differences_needs_bounds() -> None:
    """It says so before any row is read; the largest weight is that seen if none is declared."""
    with pytest.raises(UndeclaredError, match="--bounds"):
        make_paired("snips", IntervalSettings(Method.LIKELIHOOD))
    sample = SHAPES["binary"].draw(np.random.default_rng(1)).sample
    found = make_paired("snips", IntervalSettings(Method.LIKELIHOOD, bounds=Bounds(0.0, 1.0)))
    found.add(sample, Sample(sample.reward, sample.p_log, sample.p_log))
    low, high = found.estimate().interval
    assert -1 < low < high < 1
