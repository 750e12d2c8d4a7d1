"""Samples for tests: strategies, a seeded log, and plain-Python references."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from replay.sample import MIN_PROBABILITY, Sample

Row = tuple[float, float, float, float, float]
"""reward, p_log, p_target, q_logged, v_target."""

REWARDS = st.floats(-1e6, 1e6)
TARGETS = st.just(0.0) | st.floats(MIN_PROBABILITY, 1)
ROWS = st.tuples(REWARDS, st.floats(1e-6, 1), TARGETS, REWARDS, REWARDS)


def logs(min_size: int = 2, max_size: int = 25) -> st.SearchStrategy[list[Row]]:
    """Logs of hypothesis, of rows with every column."""
    return st.lists(ROWS, min_size=min_size, max_size=max_size)


def sample_of(rows: Sequence[Row]) -> Sample:
    """Rows as a sample."""
    columns = np.array(rows, dtype=np.float64).reshape(-1, 5).T
    return Sample(columns[0], columns[1], columns[2], columns[3], columns[4])


def seeded_log(seed: int, n: int, heaviest: float) -> list[Row]:
    """A log whose weights reach up to `heaviest`."""
    generator = np.random.default_rng(seed)
    p_log = 1 / generator.uniform(1, heaviest, n)
    p_target = generator.uniform(0, 1, n)
    reward = (generator.uniform(size=n) < 0.3) * generator.lognormal(size=n)
    q_logged = reward + generator.normal(size=n)
    v_target = generator.normal(size=n)
    columns = (reward, p_log, p_target, q_logged, v_target)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def shuffle(rows: Sequence[Row], seed: int) -> list[Row]:
    """The rows in another order."""
    return [rows[place] for place in np.random.default_rng(seed).permutation(len(rows))]


@dataclass(frozen=True)
class Reference:
    """Mean and the delta method's variance of it, in exact fractions."""

    value: Fraction
    variance: Fraction


def mean_reference(scores: Iterable[Fraction]) -> Reference:
    """Mean of scores and its variance with the divisor n - 1."""
    listed = list(scores)
    n, mean = len(listed), sum(listed, Fraction(0)) / len(listed)
    return Reference(mean, sum(((x - mean) ** 2 for x in listed), Fraction(0)) / (n * (n - 1)))


def ratio_reference(tops: Sequence[Fraction], bottoms: Sequence[Fraction]) -> Reference:
    """Ratio of sums and the linearised variance of it (Hajek)."""
    n, bottom = len(tops), sum(bottoms, Fraction(0))
    value = sum(tops, Fraction(0)) / bottom
    squares = sum(((x - value * w) ** 2 for x, w in zip(tops, bottoms, strict=True)), Fraction(0))
    return Reference(value, squares * n / ((n - 1) * bottom**2))


def weights_of(rows: Sequence[Row]) -> list[Fraction]:
    """Importance weights as exact fractions of the float64 ones."""
    return [Fraction(p_target / p_log) for _, p_log, p_target, _, _ in rows]


def weighted_rewards_of(rows: Sequence[Row]) -> list[Fraction]:
    """Weighted rewards as exact fractions of the float64 ones."""
    return [Fraction(p_target / p_log * reward) for reward, p_log, p_target, _, _ in rows]
