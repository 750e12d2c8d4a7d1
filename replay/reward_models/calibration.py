"""How well a reward model foresees: discrimination, loss and reliability, counted as rows pass."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replay.sums import Floats
from replay.verdict import Finding, Verdict

FINE = 4096
"""Bins by the foreseen value: fine enough for the AUC's third digit."""
SHOWN = 10
"""Bins of the reliability curve, with about as many rows each."""
LEAST_ROWS = 200
AUC_WARN = 0.52
"""Below it the model hardly tells who responds: `dr` gains nothing by it."""
GAP_Z_WARN, GAP_WARN = 5.0, 0.1
"""A mean that is off by five standard errors and a tenth biases `dm`; `dr` repairs it."""
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows of which about the same was foreseen."""

    n: int
    foreseen: float
    """Mean of what was foreseen."""
    came: float
    """Mean of the rewards."""
    error: float
    """Standard error of the rewards' mean."""


@dataclass(frozen=True, slots=True)
class CalibrationSummary:
    """How well a model foresaw rewards that it had not learned from."""

    model: str
    n: int
    auc: float | None
    """Chance that a response was foreseen higher than a failure; None unless rewards are 0 or 1."""
    log_loss: float | None
    """Mean loss in nats; None likewise."""
    base_log_loss: float | None
    """That of foreseeing the mean alone."""
    r2: float
    """Share of the rewards' variance that was foreseen; below 0 if the mean alone is better."""
    bins: tuple[ReliabilityBin, ...]

    def findings(self) -> Iterator[Finding]:
        """What makes the model of little use, or `dm` wrong."""
        if self.n < LEAST_ROWS:
            return
        if self.auc is not None and self.auc < AUC_WARN:
            yield Finding(
                Verdict.WARN,
                f"the reward model {self.model} hardly tells responses from failures (AUC "
                f"{self.auc:.2f}; 0.5 is chance): `dm` is no better than a mean",
            )
        foreseen = sum(one.n * one.foreseen for one in self.bins) / self.n
        came = sum(one.n * one.came for one in self.bins) / self.n
        error = math.sqrt(sum((one.n * one.error) ** 2 for one in self.bins)) / self.n
        if abs(foreseen - came) > max(GAP_Z_WARN * error, GAP_WARN * abs(came)):
            yield Finding(
                Verdict.WARN,
                f"the reward model {self.model} foresaw {foreseen:.4g} where {came:.4g} came: "
                "`dm` is off by as much",
            )

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "model": self.model,
            "n": self.n,
            "auc": self.auc,
            "log_loss": self.log_loss,
            "base_log_loss": self.base_log_loss,
            "r2": self.r2 if math.isfinite(self.r2) else None,
            "reliability": [
                {"n": one.n, "foreseen": one.foreseen, "came": one.came} for one in self.bins
            ],
        }


class Calibration:
    """Counts what was foreseen and what came; parts made anywhere merge."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.counts: NDArray[np.int64] = np.zeros(FINE, dtype=np.int64)
        self.sums = np.zeros((4, FINE))
        """By bin: foreseen values, rewards, squared rewards, squared errors."""
        self.responses: NDArray[np.int64] = np.zeros(FINE, dtype=np.int64)
        self.loss = 0.0
        self.is_binary = True

    def add(self, foreseen: Floats, rewards: Floats) -> None:
        """Takes in rows."""
        if not rewards.size:
            return
        places = _place(foreseen)
        self.counts += np.bincount(places, minlength=FINE)
        squares = (foreseen, rewards, rewards**2, (rewards - foreseen) ** 2)
        self.sums += [np.bincount(places, column, FINE) for column in squares]
        self.is_binary = self.is_binary and bool(np.isin(rewards, (0.0, 1.0)).all())
        self.responses += np.bincount(places, rewards > 0, FINE).astype(np.int64)
        p = np.clip(foreseen, _TINY, 1 - _TINY)
        self.loss -= float(np.where(rewards > 0, np.log(p), np.log1p(-p)).sum())

    def merge(self, other: "Calibration") -> None:
        """Takes in another's rows."""
        self.counts += other.counts
        self.sums += other.sums
        self.responses += other.responses
        self.loss += other.loss
        self.is_binary = self.is_binary and other.is_binary

    def result(self) -> CalibrationSummary:
        """How well the model foresaw."""
        n = int(self.counts.sum())
        is_told = self.is_binary and n > 0
        _, total, squares, errors = self.sums.sum(axis=1)
        spread = squares - total**2 / n if n else 0.0
        return CalibrationSummary(
            model=self.model,
            n=n,
            auc=self._auc() if is_told else None,
            log_loss=self.loss / n if is_told else None,
            base_log_loss=_entropy(total / n) if is_told else None,
            r2=float(1 - errors / spread) if spread > 0 else math.nan,
            bins=tuple(self._bins(n)),
        )

    def _auc(self) -> float | None:
        """Mann and Whitney's statistic over the bins; rows of one bin are ties."""
        hits, misses = self.responses, self.counts - self.responses
        if not hits.sum() or not misses.sum():
            return None
        below = np.cumsum(misses) - misses
        pairs = float((hits * (below + misses / 2)).sum())
        return pairs / float(hits.sum()) / float(misses.sum())

    def _bins(self, n: int) -> Iterator[ReliabilityBin]:
        """Tenths of the rows, by what was foreseen."""
        tenth = np.minimum((np.cumsum(self.counts) - self.counts) * SHOWN // max(n, 1), SHOWN - 1)
        for number in range(SHOWN):
            mine = tenth == number
            count = int(self.counts[mine].sum())
            if count:
                foreseen, came, squares, _ = self.sums[:, mine].sum(axis=1) / count
                error = math.sqrt(max(squares - came**2, 0.0) / count)
                yield ReliabilityBin(count, float(foreseen), float(came), error)


def _place(foreseen: Floats) -> NDArray[np.int64]:
    """A bin, rising with the value: finest about 0, and over all magnitudes of rewards.

    The inverse hyperbolic sine is linear near 0 and logarithmic beyond.
    """
    scaled = np.arcsinh(foreseen * 1e3) / np.arcsinh(1e12)
    places: NDArray[np.int64] = np.floor((scaled + 1) / 2 * FINE).astype(np.int64)
    return np.minimum(np.maximum(places, 0), FINE - 1)


def _entropy(p: float) -> float:
    return -sum(share * math.log(share) for share in (p, 1 - p) if share > 0)
