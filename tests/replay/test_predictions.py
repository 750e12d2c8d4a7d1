"""Predictions are read as they were written, the last one counts."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.estimate import Estimate
from replay.predictions import Predictions

numbers = st.floats(allow_nan=False)
estimates = st.builds(Estimate, numbers, st.tuples(numbers, numbers), st.text(max_size=20))


@given(estimate=estimates)
def test_what_was_written_is_read(
    estimate: Estimate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bit for bit, infinite ends included."""
    predictions = Predictions(tmp_path_factory.mktemp("data"))
    predictions.write("chain-1", estimate)
    assert predictions.read("chain-1") == estimate


def test_nobody_said(tmp_path: Path) -> None:
    """Without a prediction there is none, for this policy."""
    predictions = Predictions(tmp_path)
    predictions.write("fixed/loyal/email", Estimate(1.0, (0.0, math.inf), "x"))
    assert predictions.read("fixed/loyal") is None


def test_the_last_one_counts(tmp_path: Path) -> None:
    """Another prediction of the same policy replaces the first."""
    predictions = Predictions(tmp_path)
    for value in (1.0, 2.0):
        predictions.write("chain-1", Estimate(value, (0.0, 3.0), "x"))
    found = predictions.read("chain-1")
    assert found is not None
    assert found.value == 2.0
