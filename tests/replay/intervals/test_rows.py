"""Rows are units of their own, whatever the chunks, and stay bounded."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.errors import MergeError
from replay.intervals import units
from replay.intervals.rows import RowSums
from replay.intervals.units import Units

VALUES = st.lists(st.floats(-1e6, 1e6), max_size=50)


def kept(values: list[float], cuts: list[int]) -> Units:
    """Parts that travelled between processes and merge in their order."""
    whole = RowSums(1)
    for low, high in pairwise([0, *sorted(cuts), max([len(values), *cuts])]):
        part = RowSums(1)
        for value in values[low:high]:
            part.add(np.array([value]))
        whole.merge(pickle.loads(pickle.dumps(part)))  # noqa: S301 - our own bytes
    return whole.units()


@given(values=VALUES, cuts=st.lists(st.integers(0, 50), max_size=4))
def test_few_rows_stay_apart(values: list[float], cuts: list[int]) -> None:
    """Each row is a unit, numbered by its place."""
    found = kept(values, cuts)
    assert found.ids.tolist() == list(range(len(values)))
    assert found.sizes.tolist() == [1.0] * len(values)
    assert found.sums[0].tolist() == values
    assert not found.grouped


@given(values=VALUES, cuts=st.lists(st.integers(0, 50), max_size=4))
def test_many_rows_are_grouped_by_their_place(values: list[float], cuts: list[int]) -> None:
    """Past the limit every seventh row shares a group, however the rows were cut into parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "UNITS_MAX", 10)
        patch.setattr(units, "GROUPS", 7)
        found = kept(values, cuts)
        whole = RowSums(1)
        whole.add(np.array(values))
        assert found.grouped == whole.units().grouped == (len(values) > 10)
        if found.grouped:
            expected = [sum(values[group::7]) for group in range(7)]
            assert found.sums[0] == pytest.approx(expected, rel=1e-12, abs=1e-6)
            assert found.sizes.tolist() == [len(values[group::7]) for group in range(7)]


def test_unlike_rows_do_not_merge() -> None:
    """Another number of columns is an error."""
    with pytest.raises(MergeError):
        RowSums(1).merge(RowSums(2))
