"""What a choice, learning and memory cost against the size of the catalog.

Each size is measured in a process of its own, so that memory is its alone. A choice is the whole
path from a request: checks, eligible tree, three stages, draws. Learning is of one interaction.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Final

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from benchmarks.choice import asked, catalog
from policy.choice import choose
from policy.eligibility import eligibility
from policy.request import check_request
from policy.situation import Situation
from replay.simulator import Learner, make_learner

OFFERS: Final = (10, 30, 100, 300, 1_000)
CHANNELS, WINDOWS = 5, 48
LEARNER: Final = "chain"
BATCHES: Final = 5
"""The figures are medians over so many batches."""
BATCH_S: Final = 0.5
"""A batch lasts at least so long."""
WARM_UP: Final = 50
"""Interactions that are learned before anything is measured; a new policy knows nothing."""
COLUMNS: Final = {
    "choice_us": "choice, µs",
    "learn_us": "learning, µs",
    "memory_mib": "memory, MiB",
}
PICTURE: Final = Path(__file__).parents[1] / "docs" / "size.svg"


def run() -> dict[str, float]:
    """Measures all sizes, smallest first; keys are `choice_us_10x5x48` and the like."""
    context = get_context("spawn")
    found: dict[str, float] = {}
    for offers in OFFERS:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            found |= pool.submit(measure, offers).result()
    return found


def measure(offers: int) -> dict[str, float]:
    """Microseconds of one choice and of one learning, MiB that the process grew by."""
    content = catalog(offers, CHANNELS, WINDOWS)
    before_mib = resident_mib()
    with closing(make_learner(LEARNER)) as learner:
        turns = count()

        def situation() -> tuple[Situation, int]:
            turn = next(turns)
            request = asked(turn)
            check_request(request, content)
            return eligibility(request, content).situation, turn * 7919

        warm_up(learner, situation)
        choice_us = median(
            microseconds(lambda: choose(learner, *situation())) for _ in range(BATCHES)
        )
        learned, entropy = situation()
        path = choose(learner, learned, entropy).path
        learn_us = median(
            microseconds(lambda: learner.learn(learned, path, 0.0)) for _ in range(BATCHES)
        )
        memory_mib = resident_mib() - before_mib
    found = {"choice_us": choice_us, "learn_us": learn_us, "memory_mib": memory_mib}
    return {f"{name}_{offers}x{CHANNELS}x{WINDOWS}": value for name, value in found.items()}


def warm_up(learner: Learner, situation: Callable[[], tuple[Situation, int]]) -> None:
    """Has it learn from some of its own choices."""
    for turn in range(WARM_UP):
        found, entropy = situation()
        learner.learn(found, choose(learner, found, entropy).path, float(turn % 5 == 0))


def microseconds(call: Callable[[], object]) -> float:
    """Mean time of a call over one batch."""
    started, calls = time.perf_counter(), 0
    while (seconds := time.perf_counter() - started) < BATCH_S:
        call()
        calls += 1
    return seconds / calls * 1e6


def resident_mib() -> float:
    """Resident memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def table(figures: Mapping[str, float]) -> str:
    """The figures as Markdown, a row a size."""
    rows = [["offers", *COLUMNS.values()]]
    rows += [
        [f"{offers:,}", *(f"{_figure(figures, name, offers):,.0f}" for name in COLUMNS)]
        for offers in OFFERS
    ]
    head, *body = [f"| {' | '.join(row)} |\n" for row in rows]
    return "".join([head, "|---" * len(rows[0]), "|\n", *body])


def draw(figures: Mapping[str, float], path: Path = PICTURE) -> None:
    """Draws the figures, one panel each, both axes logarithmic."""
    figure = Figure(figsize=(8.4, 3.0), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(1, len(COLUMNS)), COLUMNS.items(), strict=True):
        values = [_figure(figures, name, offers) for offers in OFFERS]
        axes.loglog(OFFERS, values, marker="o", color="#0072B2")
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("offers")
        axes.grid(visible=True, color="#dddddd")
        axes.set_ylim(bottom=min(values) / 2, top=max(values) * 2)
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:,g}"))
            axis.set_minor_formatter(FuncFormatter(lambda _value, _position: ""))
    figure.savefig(path, metadata={"Date": None})


def _figure(figures: Mapping[str, float], name: str, offers: int) -> float:
    return figures[f"{name}_{offers}x{CHANNELS}x{WINDOWS}"]
