"""Intervals hold the truth as often as they say, in simulated logs whose truth is known."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from replay.estimators import ESTIMATORS
from replay.paired import make_paired
from replay.sample import Sample

LEVEL = 0.95


@dataclass(frozen=True)
class World:
    """A simulated log with the true values of its two policies."""

    sample: Sample
    target: float
    logging: float


Shape = Callable[[np.random.Generator], World]

_CONTEXTS, _ACTIONS = 4, 3


def _world(generator: np.random.Generator, n: int, base: float, sharpness: float) -> World:
    """A log of n binary rewards."""
    fixed = np.random.default_rng(7)
    truth = 1 / (1 + np.exp(-base - fixed.normal(size=(_CONTEXTS, _ACTIONS))))
    logging, target = (_policy(fixed, scale) for scale in (sharpness, 1.0))
    context = generator.integers(_CONTEXTS, size=n)
    draws = generator.uniform(size=(n, 1))
    action = (draws > logging[context].cumsum(axis=1)[:, :-1]).sum(axis=1)
    reward = (generator.uniform(size=n) < truth[context, action]).astype(np.float64)
    model = np.clip(truth + fixed.normal(size=truth.shape) * 0.1, 0, 1)
    sample = Sample(
        reward,
        logging[context, action],
        target[context, action],
        q_logged=model[context, action],
        v_target=(target * model).sum(axis=1)[context],
    )
    target_value, logging_value = ((p * truth).sum(axis=1).mean() for p in (target, logging))
    return World(sample, float(target_value), float(logging_value))


def _policy(generator: np.random.Generator, scale: float) -> np.ndarray:
    """Probabilities of each action in each context."""
    weights = np.exp(scale * generator.normal(size=(_CONTEXTS, _ACTIONS)))
    shares: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return shares


SHAPES: dict[str, Shape] = {
    "binary": lambda generator: _world(generator, 400, base=0.0, sharpness=0.5),
    "rare": lambda generator: _world(generator, 4_000, base=-4.0, sharpness=0.5),
    "heavy weights": lambda generator: _world(generator, 3_000, base=0.0, sharpness=1.6),
}


def misses(name: str, shape: Shape, logs: int) -> int:
    """How many of some simulated logs have an interval without the truth in it."""
    missed = 0
    for seed in range(logs):
        world = shape(np.random.default_rng(seed))
        estimator = ESTIMATORS[name]()
        statistics = estimator.statistics()
        statistics.add(world.sample)
        low, high = estimator.estimate(statistics, LEVEL).interval
        missed += not low <= world.target <= high
    return missed


def assert_covers(missed: int, logs: int, *, low: float, high: float) -> None:
    """The share of intervals that hold the truth lies between two bounds."""
    covered = 1 - missed / logs
    assert low <= covered <= high, f"{covered:.1%} of {logs} intervals hold the truth"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["ips", "snips", "dr"])
def test_intervals_hold_the_truth(name: str, shape: str) -> None:
    """Of 300 logs the 95% intervals of nine in ten at the least hold the truth.

    With a true coverage of 94% or more, fewer than nine in ten would happen by chance in less than
    1% of choices of seeds; the seeds are fixed, so that it either happens always or never.
    """
    assert_covers(misses(name, SHAPES[shape], 300), 300, low=0.90, high=0.99)


def test_paired_intervals_hold_the_true_difference() -> None:
    """The interval of a difference holds the true difference as often as it says."""
    logs, missed = 300, 0
    for seed in range(logs):
        world = SHAPES["binary"](np.random.default_rng(seed))
        baseline = Sample(world.sample.reward, world.sample.p_log, world.sample.p_log)
        paired = make_paired("snips")
        paired.add(world.sample, baseline)
        low, high = paired.estimate(LEVEL).interval
        missed += not low <= world.target - world.logging <= high
    assert_covers(missed, logs, low=0.90, high=0.99)


@pytest.mark.soak
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["ips", "snips", "dr"])
def test_intervals_hold_the_truth_at_length(name: str, shape: str) -> None:
    """Of 4,000 logs, 93% to 98% of the 95% intervals hold the truth."""
    assert_covers(misses(name, SHAPES[shape], 4_000), 4_000, low=0.93, high=0.98)
