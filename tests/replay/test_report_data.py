"""What was predicted, held against what came true: how often it is called broken though it held."""

import math

import numpy as np
import pytest

from replay.course import RunningMean
from replay.estimate import Estimate
from replay.report_data import Prediction


def earned(rng: np.random.Generator, decisions: int, rate: float) -> Estimate:
    """What a policy of a given rate earned, each decision with a subject of its own."""
    mean = RunningMean()
    for subject, reward in enumerate((rng.random(decisions) < rate).tolist()):
        mean.add(float(reward), subject)
    return mean.estimate()


@pytest.mark.parametrize("decisions", [300, 3000])
def test_what_is_exactly_as_predicted_is_called_so(decisions: int) -> None:
    """In 19 of 20 runs, though a few hundred decisions scatter more than twenty thousand."""
    rng = np.random.default_rng(0)
    predicted = [earned(rng, 20_000, 0.1) for _ in range(10)]
    kept = sum(
        Prediction("p", predicted[run % 10], earned(rng, decisions, 0.1)).kept for run in range(300)
    )
    assert 0.91 <= kept / 300 <= 0.99


def test_a_broken_prediction_is_called_so() -> None:
    """One that is off by a third is found by some thousand decisions, in either direction."""
    rng = np.random.default_rng(1)
    predicted = earned(rng, 20_000, 0.1)
    for rate in (0.07, 0.14):
        assert not Prediction("p", predicted, earned(rng, 3000, rate)).kept


def test_ends_that_face_each_other_count() -> None:
    """Of lopsided intervals the wide side widens the difference where that leads to none."""
    prediction = Prediction("p", Estimate(0.5, (0.46, 0.62), ""), Estimate(0.6, (0.57, 0.61), ""))
    low, high = prediction.difference.interval
    assert prediction.difference.value == pytest.approx(0.1)
    assert low == pytest.approx(0.1 - math.hypot(0.03, 0.12))
    assert high == pytest.approx(0.1 + math.hypot(0.01, 0.04))
    assert prediction.kept
    unknown = Estimate(0.9, (-math.inf, math.inf), "")
    assert Prediction("p", prediction.predicted, unknown).kept
