"""A sample refuses what an evaluation could not use, and says where it stands."""

import math

import numpy as np
import pytest

from replay.errors import (
    BadValueError,
    ColumnTypeError,
    LengthMismatchError,
    MissingColumnError,
)
from replay.sample import Sample

GOOD = {"reward": [1.0, 0.0], "p_log": [0.5, 0.25], "p_target": [1.0, 0.0]}


def make(**columns: object) -> Sample:
    """A sound sample with some columns put in another's place."""
    return Sample(**{**GOOD, **columns})  # type: ignore[arg-type] # wrong types are the point


def test_weights_are_ratios_of_probabilities() -> None:
    """The weight is the target probability over the logged one, and weighs the reward."""
    sample = make()
    assert sample.weight.tolist() == [2.0, 0.0]
    assert sample.weighted_reward.tolist() == [2.0, 0.0]
    assert len(sample) == 2


def test_what_is_next_to_impossible_weighs_nothing() -> None:
    """A target probability below the smallest that counts is taken for zero."""
    assert make(p_target=[1e-60, 1e-61]).weight.tolist() == [2e-60, 0.0]


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        ("reward", math.nan),
        ("reward", math.inf),
        ("reward", 1e61),
        ("p_log", 0.0),
        ("p_log", -0.1),
        ("p_log", 1.0000001),
        ("p_log", math.nan),
        ("p_target", -1e-9),
        ("p_target", 1.5),
        ("q_logged", math.nan),
        ("v_target", -math.inf),
        ("p_unsupported", 1.1),
    ],
)
def test_a_bad_value_is_named_by_row_and_column(column: str, bad: float) -> None:
    """The error carries the row's number in its source, the column and the value."""
    with pytest.raises(BadValueError) as caught:
        make(**{column: [0.5, bad]}, first_row=101)
    assert (caught.value.row, caught.value.column) == (102, column)
    assert caught.value.value == pytest.approx(bad, nan_ok=True)
    assert "row 102" in str(caught.value)
    assert column in str(caught.value)


@pytest.mark.parametrize("column", ["p_log", "p_target", "q_logged", "v_target", "subject"])
def test_a_column_of_another_length_is_named(column: str) -> None:
    """Columns of unequal length are refused, never cut or repeated to fit."""
    with pytest.raises(LengthMismatchError) as caught:
        make(**{column: [1]})
    assert (caught.value.column, caught.value.length, caught.value.expected) == (column, 1, 2)


@pytest.mark.parametrize(
    "values", [["a", "b"], [None, 1.0], [[1.0, 0.0], [0.0, 1.0]], 1.0, [1j, 1.0]]
)
def test_only_rows_of_numbers_are_taken(values: object) -> None:
    """Text, objects, complex numbers, tables and single numbers are refused."""
    with pytest.raises(ColumnTypeError) as caught:
        make(reward=values)
    assert caught.value.column == "reward"


def test_subjects_are_whole_numbers() -> None:
    """Cluster ids with fractions are refused: they would be cut without a word."""
    assert make(subject=[7, 8]).subject is not None
    with pytest.raises(ColumnTypeError):
        make(subject=[7.5, 8.0])


def test_whole_numbers_and_flags_are_rewards() -> None:
    """Rewards may come as integers or as booleans."""
    assert make(reward=np.array([True, False])).reward.tolist() == [1.0, 0.0]
    assert make(reward=np.array([3, -1])).reward.tolist() == [3.0, -1.0]


def test_a_needed_column_that_is_absent_is_named() -> None:
    """Whoever needs an optional column is named together with it."""
    with pytest.raises(MissingColumnError) as caught:
        make().require("q_logged", "dr")
    assert (caught.value.column, caught.value.needed_by) == ("q_logged", "dr")


def test_an_empty_sample_is_a_sample() -> None:
    """A chunk may hold no rows at all."""
    assert len(make(reward=[], p_log=[], p_target=[])) == 0
