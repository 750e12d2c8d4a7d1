"""Sums by unit do not depend on order, chunks or parts, and stay bounded."""

import pickle
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.worlds import SHAPES
from replay.errors import MergeError
from replay.evaluation import Evaluation
from replay.intervals import units
from replay.intervals.settings import IntervalSettings
from replay.intervals.units import Units, UnitSums, limits_of

ROWS = st.lists(
    st.tuples(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), st.floats(-1e6, 1e6)),
    max_size=60,
)
Rows = list[tuple[int, float]]


def summed(rows: Rows) -> UnitSums:
    """Sums of one column and of its squares."""
    found = UnitSums(2)
    ids = np.array([one for one, _ in rows], dtype=np.int64)
    values = np.array([value for _, value in rows], dtype=np.float64)
    found.add(ids, values, values**2)
    return found


def merged(rows: Rows, cuts: list[int]) -> Units:
    """The rows cut into parts that travelled between processes and merge backwards."""
    edges = [0, *sorted(cuts), len(rows)]
    whole = UnitSums(2)
    for low, high in reversed(list(pairwise(edges))):
        part = summed(rows[low:high])
        whole.merge(pickle.loads(pickle.dumps(part)))  # noqa: S301 - our own bytes
    return whole.units()


def assert_same(one: Units, other: Units) -> None:
    """The same units, with sums to the last few bits."""
    assert one.ids.tolist() == other.ids.tolist()
    assert one.sizes.tolist() == other.sizes.tolist()
    assert one.grouped == other.grouped
    room = 1e-12 * np.abs(one.sums).max(initial=0)
    assert one.sums == pytest.approx(other.sums, rel=1e-12, abs=room)


@given(rows=ROWS)
def test_sums_are_those_of_each_unit(rows: Rows) -> None:
    """Each unit has the sums of its own rows, by plain addition."""
    sums: defaultdict[int, list[float]] = defaultdict(list)
    for one, value in rows:
        sums[one].append(value)
    found = summed(rows).units()
    assert found.ids.tolist() == sorted(sums)
    assert found.sizes.tolist() == [len(sums[one]) for one in sorted(sums)]
    expected = np.array([[sum(sums[one]), sum(v * v for v in sums[one])] for one in sorted(sums)])
    assert found.sums.T.ravel() == pytest.approx(expected.ravel(), rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("most", [units.UNITS_MAX, 5])
@given(rows=ROWS, cuts=st.lists(st.integers(0, 60), max_size=4), seed=st.integers(0, 9))
def test_order_chunks_and_parts_change_nothing(
    most: int, rows: Rows, cuts: list[int], seed: int
) -> None:
    """Shuffled, cut, pickled and merged, the rows give the same sums, grouped or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "UNITS_MAX", most)
        patch.setattr(units, "GROUPS", 4)
        shuffled = [rows[at] for at in np.random.default_rng(seed).permutation(len(rows))]
        assert_same(merged(shuffled, cuts), summed(rows).units())


def test_many_units_become_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit memory stays bounded, no row is lost, and groups are of similar size."""
    monkeypatch.setattr(units, "UNITS_MAX", 500)
    monkeypatch.setattr(units, "GROUPS", 64)
    found = UnitSums(1)
    for start in range(0, 20_000, 100):
        ids = np.arange(start, start + 100) * 1_000_003
        found.add(ids, np.ones(100))
    result = found.units()
    assert result.grouped
    assert result.count == 64
    assert result.rows == result.sums.sum() == 20_000
    assert 200 < result.sizes.min() <= result.sizes.max() < 450


def test_at_the_limit_units_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit itself is still exact; one more unit is not."""
    monkeypatch.setattr(units, "UNITS_MAX", 10)
    monkeypatch.setattr(units, "GROUPS", 4)
    found = UnitSums(1)
    found.add(np.arange(100, 110), np.ones(10))
    assert (found.units().grouped, found.units().count) == (False, 10)
    found.add(np.array([7_777]), np.ones(1))
    assert found.units().grouped


@pytest.mark.parametrize(("width", "most", "groups"), [(2, 1_000, 512), (29, 100, 64)])
def test_many_columns_leave_room_for_fewer_units(
    monkeypatch: pytest.MonkeyPatch, width: int, most: int, groups: int
) -> None:
    """What is bounded is the number of sums, however many columns they are of."""
    monkeypatch.setattr(units, "SUMS_MAX", 3_000)
    assert limits_of(width) == (most, groups)
    found = UnitSums(width)
    for start in range(0, 20_000, 50):
        found.add(np.arange(start, start + 50) * 1_000_003, *np.ones((width, 50)))
        assert found.units().sums.size <= 3_000
    result = found.units()
    assert (result.count, result.rows) == (groups, 20_000)
    assert result.sums.sum() == width * 20_000


def test_intervals_of_groups_hold_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """In 91 to 99 of a hundred logs of 190 subjects, whose sums are put into 64 groups."""
    monkeypatch.setattr(units, "SUMS_MAX", 64 * 3)
    held = 0
    for seed in range(300):
        world = SHAPES["clustered"].draw(np.random.default_rng(seed))
        evaluation = Evaluation(["snips"], IntervalSettings(clustered=True))
        evaluation.add(world.sample)
        result = evaluation.result()
        assert 40 < result.intervals.units <= 64
        found = result.estimates["snips"]
        assert found is not None
        held += found.interval[0] <= world.target <= found.interval[1]
    assert 0.91 <= held / 300 <= 0.99


def test_waiting_rows_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many more rows than may wait still sum to one unit."""
    monkeypatch.setattr(units, "_PENDING_ROWS", 10)
    found = UnitSums(1)
    for _ in range(100):
        found.add(np.zeros(3, dtype=np.int64), np.ones(3))
        assert found._pending_rows <= 10
    assert found.units().sums.tolist() == [[300.0]]


def test_unlike_sums_do_not_merge() -> None:
    """Another number of columns is an error, not a shape that fits by luck."""
    with pytest.raises(MergeError):
        UnitSums(1).merge(UnitSums(2))
