"""Intervals hold the truth as often as they say, in simulated logs whose truth is known."""

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.coverage import Tally, holds_throughout, tallies
from benchmarks.worlds import SHAPES
from replay.intervals.settings import IntervalSettings, Method
from replay.paired import make_paired
from replay.sample import Sample

ASKED = (0.93, 0.98)
"""Shares of 95% intervals that may hold the truth, in the long run."""
CLICKS = [name for name, shape in SHAPES.items() if shape.order_spread == 0]


def assert_covers(tally: Tally, logs: int) -> None:
    """The share is within what is asked for, but for what chance does in 1 of 1,000 studies."""
    low = binom.ppf(0.001, tally.logs, ASKED[0]) / tally.logs
    high = binom.ppf(0.999, tally.logs, ASKED[1]) / tally.logs
    assert tally.logs >= 0.95 * logs, "too many logs are refused to say anything"
    assert low <= tally.coverage <= high, f"{tally.coverage:.1%} of {tally.logs} hold the truth"


@pytest.mark.parametrize("shape", SHAPES)
def test_the_default_holds_the_truth(shape: str) -> None:
    """The default interval of ips, snips and dr covers as asked for, on 150 logs of each shape."""
    found = tallies(SHAPES[shape], [Method.SKEW], range(150))
    assert {name for _, name in found} == {"ips", "snips", "dr"}
    for tally in found.values():
        assert_covers(tally, 150)


@pytest.mark.parametrize("shape", CLICKS)
def test_a_sequence_holds_at_every_row(shape: str) -> None:
    """Whoever stops at the worst row is misled in at most 5% of the logs, but for chance."""
    logs = [SHAPES[shape].draw(np.random.default_rng(seed)) for seed in range(60)]
    missed = sum(not holds_throughout(world) for world in logs)
    assert missed <= binom.ppf(0.999, len(logs), 0.05)


def difference_tally(shape: str, logs: int) -> Tally:
    """How intervals of the difference of target and logging policy fare."""
    tally = Tally()
    settings = IntervalSettings(clustered=SHAPES[shape].per_subject > 1)
    for seed in range(logs):
        world = SHAPES[shape].draw(np.random.default_rng(seed))
        paired = make_paired("snips", settings)
        paired.add(
            world.sample, Sample(world.sample.reward, world.sample.p_log, world.sample.p_log)
        )
        tally.add(paired.estimate().interval, world.target - world.logging)
    return tally


@pytest.mark.parametrize("shape", ["binary", "clustered"])
def test_paired_intervals_hold_the_true_difference(shape: str) -> None:
    """The interval of a difference holds the true difference as often as it says."""
    assert_covers(difference_tally(shape, 150), 150)


@pytest.mark.soak
@pytest.mark.parametrize("shape", SHAPES)
def test_the_default_holds_the_truth_at_length(shape: str) -> None:
    """Of 2,000 logs of each shape, 93% to 98% of the default 95% intervals hold the truth."""
    for tally in tallies(SHAPES[shape], [Method.SKEW], range(2_000)).values():
        assert tally.logs > 1_900
        assert ASKED[0] <= tally.coverage <= ASKED[1]


@pytest.mark.soak
@pytest.mark.parametrize("shape", CLICKS)
def test_a_sequence_holds_at_every_row_at_length(shape: str) -> None:
    """Of 2,000 logs at most 5% have a row at which the sequence misses."""
    seeds = range(2_000)
    worlds = (SHAPES[shape].draw(np.random.default_rng(seed)) for seed in seeds)
    assert sum(not holds_throughout(world) for world in worlds) <= 0.05 * len(seeds)


@pytest.mark.soak
@pytest.mark.parametrize("shape", SHAPES)
def test_paired_intervals_hold_the_true_difference_at_length(shape: str) -> None:
    """Of 2,000 logs of each shape, 93% to 98% of the intervals hold the true difference."""
    assert ASKED[0] <= difference_tally(shape, 2_000).coverage <= ASKED[1]
