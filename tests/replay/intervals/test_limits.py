"""Every estimator with every interval, at the limits of what a sample may hold."""

from collections.abc import Iterator

import numpy as np
import pytest

from replay.errors import ReplayError
from replay.estimate import Bounds
from replay.estimators import ESTIMATORS
from replay.evaluation import Evaluation
from replay.intervals.settings import IntervalSettings, Method
from replay.sample import MAX_MAGNITUDE, MIN_PROBABILITY, NUMBERS, Sample
from replay.sums import Floats

VALUES = (-MAX_MAGNITUDE, -1.0, 0.0, 1e-9, 1.0, MAX_MAGNITUDE)
LIKELY = (MIN_PROBABILITY, 1e-9, 0.5, 1.0)
ALLOWED = {-MAX_MAGNITUDE: VALUES, MIN_PROBABILITY: LIKELY, 0.0: (0.0, *LIKELY)}
"""What to draw from, by the smallest value that a column may hold."""
DECLARED = {
    "bounds": Bounds(-MAX_MAGNITUDE, MAX_MAGNITUDE),
    "max_weight": 2.0 / MIN_PROBABILITY,
}
SAMPLES = 8


def consistent(columns: dict[str, Floats]) -> Sample:
    """Stages that multiply to the action's probability, features that hold it; three subjects."""
    n = columns["reward"].size
    for joint in ("p_log", "p_target"):
        columns[f"{joint}_offer"] = columns[joint]
        columns[f"{joint}_channel"] = columns[f"{joint}_time"] = np.ones(n)
        columns[f"{joint}_features"] = np.maximum(columns[joint], columns[f"{joint}_features"])
    groups = np.arange(n) % 3
    return Sample(**columns, subject=groups, logger=groups % 2)  # type: ignore[arg-type]


def extremes() -> Iterator[Sample]:
    """The largest values under the heaviest weights, then lots of what is allowed."""
    rows = np.array([[1.0, 0.5, 1.0], [MAX_MAGNITUDE, MIN_PROBABILITY, 1.0]])
    largest = {-MAX_MAGNITUDE: rows[:, 0], MIN_PROBABILITY: rows[:, 1], 0.0: rows[:, 2]}
    yield consistent({name: largest[low] for name, (low, _, _) in NUMBERS.items()})
    for seed in range(SAMPLES):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 6))
        drawn = {name: rng.choice(ALLOWED[low], n) for name, (low, _, _) in NUMBERS.items()}
        yield consistent(drawn)


@pytest.mark.parametrize("clustered", [False, True], ids=["by row", "by subject"])
@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_nothing_but_documented_errors(name: str, method: Method, *, clustered: bool) -> None:
    """There is an estimate whose interval holds its value, or none, or an error with a name."""
    settings = IntervalSettings(method, clustered, **DECLARED)  # type: ignore[arg-type] # by name
    for sample in extremes():
        try:
            evaluation = Evaluation([name], settings)
            evaluation.add(sample)
            found = evaluation.result().estimates[name]
        except ReplayError:
            continue
        if found is not None:
            assert found.interval[0] <= found.value <= found.interval[1]
