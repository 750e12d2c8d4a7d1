"""How often intervals hold the truth: `python -m benchmarks.coverage [--logs N] …`.

Prints the table that stands in docs/evaluation.md and in decision 0012. Width is the mean one by
that of the symmetric delta method on the same logs.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.worlds import SHAPES, Shape, World
from replay.estimate import Bounds
from replay.evaluation import Evaluation
from replay.intervals.sequence import Wager, log_capital
from replay.intervals.settings import IntervalSettings, Method
from replay.verdict import Verdict

LEVEL = 0.95
MAX_WEIGHT = 40.0
"""Declared where a method needs it: the heaviest shape reaches 35."""
CLICKS = Bounds(0.0, 1.0)

ESTIMATORS: dict[Method, tuple[str, ...]] = {
    Method.DELTA: ("ips", "snips", "dr"),
    Method.SKEW: ("ips", "snips", "dr"),
    Method.BOOTSTRAP: ("snips",),
    Method.LIKELIHOOD: ("snips",),
    Method.BERNSTEIN: ("snips",),
    Method.SEQUENCE: ("snips",),
}


@dataclass
class Tally:
    """How the intervals of one kind fared."""

    logs: int = 0
    below: int = 0
    """Truths below the interval."""
    above: int = 0
    """Truths above the interval."""
    width: float = 0.0
    """Summed."""

    def add(self, interval: tuple[float, float], truth: float) -> None:
        """Counts one interval."""
        low, high = interval
        self.logs += 1
        self.below += truth < low
        self.above += truth > high
        self.width += high - low

    @property
    def missed(self) -> int:
        """Intervals without the truth."""
        return self.below + self.above

    @property
    def coverage(self) -> float:
        """Share of intervals with the truth."""
        return 1 - self.missed / self.logs


def settings_of(method: Method, shape: Shape) -> IntervalSettings:
    """What is declared in the study."""
    is_declared = method in {Method.BERNSTEIN, Method.SEQUENCE}
    return IntervalSettings(
        method,
        clustered=shape.per_subject > 1 and method is not Method.SEQUENCE,
        bounds=CLICKS if is_declared else Bounds(),
        max_weight=MAX_WEIGHT if method is Method.BERNSTEIN else float("inf"),
    )


def intervals(
    world: World, shape: Shape, method: Method, names: Sequence[str]
) -> dict[str, tuple[float, float]] | None:
    """Intervals of some estimators, by the code that evaluations use; None where it refuses."""
    evaluation = Evaluation(names, settings_of(method, shape))
    evaluation.add(world.sample)
    result = evaluation.result(LEVEL)
    found = {name: result.headline(name) for name in names}
    if result.verdict is Verdict.REFUSE:
        return None
    return {name: one.interval for name, one in found.items() if one is not None}


def tallies(
    shape: Shape, methods: Iterable[Method], seeds: Iterable[int]
) -> dict[tuple[Method, str], Tally]:
    """How intervals fare on logs of a shape; logs that are refused show none and are left out."""
    found: defaultdict[tuple[Method, str], Tally] = defaultdict(Tally)
    chosen = list(methods)
    for seed in seeds:
        world = shape.draw(np.random.default_rng(seed))
        for method in chosen:
            made = intervals(world, shape, method, ESTIMATORS[method])
            for name, interval in (made or {}).items():
                found[method, name].add(interval, world.target)
    return dict(found)


def holds_throughout(world: World) -> bool:
    """Whether the sequence of `snips` and `ips` holds at every row of a log of clicks.

    What it has to hold is the mean, over the rows so far, of what the policy was expected to earn.
    """
    reward, weight = world.sample.reward, world.sample.weight
    sides = (weight * reward, world.expected), (weight * (1 - reward), 1 - world.expected)
    for terms, expected in sides:
        totals, variances = Wager().course(terms)
        gains = totals - np.cumsum(expected)
        capital = log_capital(np.maximum(gains, 0.0), variances)
        if capital[gains >= 0].max(initial=-np.inf) >= -np.log((1 - LEVEL) / 2):
            return False
    return True


def rows_of(name: str, logs: int, wanted: Sequence[Method]) -> Iterator[str]:
    """Lines of the table about one shape."""
    shape = SHAPES[name]
    methods = [one for one in wanted if shape.order_spread == 0 or one not in _CLICKS_ONLY]
    found = tallies(shape, methods, range(logs))
    for (method, estimator), tally in found.items():
        usual = found[Method.DELTA, estimator].width / found[Method.DELTA, estimator].logs
        yield (
            f"| {name} | {estimator} | {method.value} | {tally.coverage:.1%} | "
            f"{tally.below / tally.logs:.1%} | {tally.above / tally.logs:.1%} | "
            f"{tally.width / tally.logs / usual:.2f} | {logs - tally.logs} |"
        )
    if shape.order_spread == 0 and Method.SEQUENCE in wanted:
        worlds = (shape.draw(np.random.default_rng(seed)) for seed in range(logs))
        held = sum(map(holds_throughout, worlds))
        yield f"| {name} | snips | sequence, at every row | {held / logs:.1%} | | | | |"


_CLICKS_ONLY = frozenset({Method.BERNSTEIN, Method.SEQUENCE})
"""Methods that need bounds, which amounts of orders do not have."""


def main() -> None:
    """Prints the table, shape by shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=1_000, help="simulated logs of each shape")
    parser.add_argument("--shape", action="append", choices=tuple(SHAPES), help="may be repeated")
    parser.add_argument(
        "--interval", action="append", choices=[one.value for one in Method], help="may be repeated"
    )
    chosen = parser.parse_args()
    methods = [Method.DELTA, *(one for one in Method if one is not Method.DELTA)]
    if chosen.interval:
        methods = [one for one in methods if one.value in {"delta", *chosen.interval}]
    print("| shape | estimator | interval | holds | truth below | above | width | refused |")
    print("|---|---|---|---|---|---|---|---|")
    for name in chosen.shape or SHAPES:
        print(f"{name} …", file=sys.stderr, flush=True)
        for row in rows_of(name, chosen.logs, methods):
            print(row, flush=True)


if __name__ == "__main__":
    main()
