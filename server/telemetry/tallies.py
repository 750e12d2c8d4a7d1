"""Counters and histograms for the path of a call, in plain Python.

OpenTelemetry's own instruments cost ten times as much; docs/decisions/0001-telemetry.md has the
numbers. What is tallied here is handed to it when someone asks, in `server.telemetry.metrics`.
"""

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured, in OpenTelemetry's terms."""

    name: str
    unit: str
    """In UCUM's notation, such as `s` or `{decision}`."""
    description: str
    label_names: tuple[str, ...]
    """Names of the attributes; each value recorded brings its own for them, in this order."""


class Counter:
    """Counts things by their labels."""

    def __init__(self, measure: Measure) -> None:
        self.measure = measure
        self._lock = threading.Lock()
        self._counts: dict[Labels, int] = {}

    def add(self, labels: Labels, count: int = 1) -> None:
        """Counts so many more."""
        with self._lock:
            self._counts[labels] = self._counts.get(labels, 0) + count

    def read(self) -> Mapping[Labels, int]:
        """The counts since the start."""
        with self._lock:
            return dict(self._counts)


@dataclass(frozen=True, slots=True)
class Distribution:
    """The values recorded under one combination of labels."""

    counts: tuple[int, ...]
    """Values in each bucket: up to and with the first bound, ..., above the last."""
    total: float
    """Their sum."""
    smallest: float
    largest: float


class Histogram:
    """Distributions of values by their labels, in buckets."""

    def __init__(self, measure: Measure, bounds: Sequence[float]) -> None:
        """Makes an empty one.

        Args:
            measure: What is measured.
            bounds: Upper bounds of all buckets but the last, ascending; each belongs to its bucket.
        """
        self.measure = measure
        self.bounds = tuple(bounds)
        self._lock = threading.Lock()
        self._cells: dict[Labels, _Cell] = {}

    def record(self, labels: Labels, value: float) -> None:
        """Takes in a value, in the measure's unit."""
        bucket = bisect_left(self.bounds, value)
        with self._lock:
            cell = self._cells.get(labels)
            if cell is None:
                cell = self._cells[labels] = _Cell(len(self.bounds) + 1, value)
            cell.counts[bucket] += 1
            cell.total += value
            if value < cell.smallest:
                cell.smallest = value
            elif value > cell.largest:
                cell.largest = value

    def read(self) -> Mapping[Labels, Distribution]:
        """The distributions since the start."""
        with self._lock:
            return {labels: cell.frozen() for labels, cell in self._cells.items()}


class _Cell:
    """A distribution that still grows."""

    __slots__ = ("counts", "largest", "smallest", "total")

    def __init__(self, buckets: int, first: float) -> None:
        self.counts = [0] * buckets
        self.total = 0.0
        self.smallest = first
        self.largest = first

    def frozen(self) -> Distribution:
        return Distribution(tuple(self.counts), self.total, self.smallest, self.largest)
