"""Bets on a policy's value: fair at every row whatever came before, through to the interval."""

import math
from collections.abc import Callable, Iterator
from copy import copy
from functools import partial
from itertools import product

import numpy as np
import pytest

from benchmarks.worlds import SHAPES
from replay.estimate import Bounds
from replay.evaluation import Evaluation
from replay.intervals.bets import Bets, DifferenceBets, ValueBets
from replay.intervals.settings import IntervalSettings, Method
from replay.sample import Sample

P_LOG = (0.75, 0.25)
"""Chances of two actions in the log."""
P_TARGET = (0.3, 0.7)
P_BASE = (0.9, 0.1)
CLICKS = (0.2, 0.6)
"""How often each action earns 1 and not 0."""
OUTCOMES = tuple(product((0, 1), (0.0, 1.0)))
"""Action and reward of a row."""
CHANCES = tuple(P_LOG[a] * (CLICKS[a] if r else 1 - CLICKS[a]) for a, r in OUTCOMES)
VALUE, BASE = (
    sum(p * click for p, click in zip(policy, CLICKS, strict=True)) for policy in (P_TARGET, P_BASE)
)
SETTINGS = [
    IntervalSettings(Method.SEQUENCE, bounds=Bounds(0, 1), max_weight=most)
    for most in (math.inf, 3.0)
]

Rows = tuple[tuple[int, float], ...]


def sample(rows: Rows, policy: tuple[float, float]) -> Sample:
    """Rows by action and reward, with one policy's probabilities; values of a poor model."""
    actions = np.array([action for action, _ in rows], dtype=int)
    rewards = np.array([reward for _, reward in rows])
    return Sample(
        rewards,
        np.array(P_LOG)[actions],
        np.array(policy)[actions],
        q_logged=np.array([0.5, 0.3])[actions],
        v_target=np.full(len(rows), 0.5 * policy[0] + 0.3 * policy[1]),
    )


def add_value(bets: Bets, rows: Rows) -> None:
    """To bets on the target's value."""
    assert isinstance(bets, ValueBets)
    bets.add(sample(rows, P_TARGET))


def add_difference(bets: Bets, rows: Rows) -> None:
    """To bets on the target's value less the baseline's."""
    assert isinstance(bets, DifferenceBets)
    bets.add(sample(rows, P_TARGET), sample(rows, P_BASE))


Add = Callable[[Bets, Rows], None]


def games() -> Iterator[tuple[Callable[[], Bets], Add, float]]:
    """New bets, what adds rows to them, and the mean that they are about."""
    for settings in SETTINGS:
        for name in ("ips", "snips"):
            yield partial(ValueBets, name, settings), add_value, VALUE
        yield partial(DifferenceBets, settings), add_difference, VALUE - BASE
    yield partial(ValueBets, "dr", SETTINGS[1]), add_value, VALUE


GAMES = pytest.mark.parametrize(("begin", "add", "truth"), list(games()))
Begin = Callable[[], Bets]


def sides(bets: Bets, truth: float) -> list[tuple[float, list[float]]]:
    """The true mean of each side's terms, and how low those can be declared to lie."""
    mirrored = 1 - truth if isinstance(bets, ValueBets) else -truth
    return [(truth, [bet.below for bet in bets.lower]), (mirrored, [b.below for b in bets.upper])]


def totals(bets: Bets) -> list[list[float]]:
    """Sums of the terms of each side's bets, as they were scaled."""
    return [[bet.wager.total for bet in side] for side in (bets.lower, bets.upper)]


@GAMES
def test_terms_are_fair_whatever_came_before(begin: Begin, add: Add, truth: float) -> None:
    """The mean of a bet's next term, over all that may come, is the truth; none is too low."""
    rng = np.random.default_rng(0)
    for length in range(6):
        rows = tuple(OUTCOMES[place] for place in rng.integers(len(OUTCOMES), size=length))
        bets = begin()
        add(bets, rows)
        before = totals(bets)
        means = [[0.0] * len(side) for side in before]
        for outcome, chance in zip(OUTCOMES, CHANCES, strict=True):
            after = copy(bets)
            add(after, (outcome,))
            for side, (mine, now) in enumerate(zip(before, totals(after), strict=True)):
                for place, (old, new) in enumerate(zip(mine, now, strict=True)):
                    assert new >= old - 1e-12
                    means[side][place] += chance * (new - old)
        for found, (mean, below) in zip(means, sides(bets, truth), strict=True):
            expected = [(mean + k) / (1 + k) for k in below]
            assert found == pytest.approx(expected, abs=1e-12)


@GAMES
def test_capital_cannot_grow_on_average(begin: Begin, add: Add, truth: float) -> None:
    """Over all logs of five rows, the bets' capital against the truth has a mean of at most 1."""
    expected = [0.0, 0.0]
    for run in product(range(len(OUTCOMES)), repeat=5):
        bets = begin()
        add(bets, tuple(OUTCOMES[place] for place in run))
        chance = math.prod(CHANCES[place] for place in run)
        for side, (mean, _) in enumerate(sides(bets, truth)):
            staked = (bets.lower, bets.upper)[side]
            capital = [math.exp(bet.log_capital(mean)) for bet in staked]
            expected[side] += chance * sum(capital) / len(capital)
    assert all(0 < one <= 1 for one in expected)


@GAMES
def test_ends_are_where_the_bets_have_won_enough(begin: Begin, add: Add, truth: float) -> None:
    """Several bets share one stake: their mean capital counts, not their sum or the best."""
    rng = np.random.default_rng(1)
    rows = tuple(OUTCOMES[place] for place in rng.choice(len(OUTCOMES), 300, p=CHANCES))
    bets = begin()
    add(bets, rows)
    low, high = bets.interval(0.9)
    assert low < truth < high
    is_value = isinstance(bets, ValueBets)
    for staked, end in ((bets.lower, low), (bets.upper, 1 - high if is_value else -high)):
        for place, wanted in ((end - 1e-9, 1), (end + 1e-9, -1)):
            capital = np.mean([math.exp(bet.log_capital(place)) for bet in staked])
            assert (capital - 1 / 0.05) * wanted >= 0


@pytest.mark.parametrize("most", [math.inf, 40.0])
@pytest.mark.parametrize("shape", ["binary", "heavy weights"])
def test_intervals_hold_wherever_one_stops(shape: str, most: float) -> None:
    """Of 15 logs that are looked at ten times each, none is ever without the truth at 95%."""
    settings = IntervalSettings(Method.SEQUENCE, bounds=Bounds(0, 1), max_weight=most)
    for seed in range(15):
        world = SHAPES[shape].draw(np.random.default_rng(seed))
        log, evaluation = world.sample, Evaluation(["ips"], settings)
        for rows in np.array_split(np.arange(len(log)), 10):
            evaluation.add(Sample(log.reward[rows], log.p_log[rows], log.p_target[rows]))
            found = evaluation.result().estimates["ips"]
            assert found is not None
            low, high = found.interval
            assert low <= world.expected[: rows[-1] + 1].mean() <= high, (seed, rows[-1])
