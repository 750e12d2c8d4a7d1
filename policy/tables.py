"""What a regression says of a situation: the situation as arrays, walked by compiled code."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy.crosses import Crosses, bits_of
from policy.errors import DivergedModelError
from policy.exploration_kinds import Rule
from policy.identity import IdentityCache
from policy.layout import CatalogLayout, layouts
from policy.parts import Timing, sum_timing
from policy.policies import Draws, FloatArray, Walk
from policy.scores import Scores
from policy.sides import GridWindows, context_side, facts_of, windows_of
from policy.situation import Path, Situation, Stage
from policy.vw import Weights
from policy.walk import DIVERGED, ERRORS, LOGITS, PMF, walk

# More context must not mean more exploration: the prior precision grows with it.
CONTEXT_TOKENS_PER_PRECISION = 3
TIMING_BYTES_KEPT = 64 * 1024 * 1024
"""Of all timings that are kept for a model."""
# Plain numbers: Numba takes about 50 microseconds to find out the type of an enumeration's member.
_FIRST, _LAST = int(Stage.OFFER), int(Stage.SEND_TIME)
_DRAWN = -1
_NO_DRAWS = (0.0, 0.0, 0.0)


class Scorer:
    """One state of a regression's weights, ready to score situations."""

    def __init__(
        self, weights: Weights, crosses: Crosses, rule: Rule, start: float, unit: float
    ) -> None:
        """Takes what makes scores and pmfs.

        Args:
            weights: with their sums of squared gradients; they do not change any more.
            crosses: what the model was taught to cross.
            rule: how scores become probabilities.
            start: logit that all begin with.
            unit: factor of all standard errors.
        """
        self._crosses = bits_of(crosses)
        # No copy of weights that lie in memory as `policy.vw` reads them.
        self._table = np.ascontiguousarray(weights.T)
        self._model = (self._table, self._crosses, start, unit, *rule)
        # Send windows move on by the hour: most requests share what they add to a catalog.
        self._timing = IdentityCache(self._summed, TIMING_BYTES_KEPT, _timing_bytes)

    def walk(self, situation: Situation, path: Path, draws: Draws) -> Walk:
        """The pmfs of all stages along a path, and beyond its end along the draws."""
        whole, out = self._walked(situation, path, draws, _FIRST, _LAST)
        offer = situation.tree[whole[0]]
        mask = offer.channels[whole[1]].windows & (1 << len(situation.grid.local_minutes)) - 1
        pmf, offers = out[PMF], len(situation.tree)
        channels = offers + len(offer.channels)
        windows = channels + mask.bit_count()
        return Walk(whole, (pmf[:offers], pmf[offers:channels], pmf[channels:windows]))

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """The pmf of the actions after `path`."""
        found: FloatArray = self._stage(situation, path)[PMF]
        return found

    def scores(self, situation: Situation, path: Path) -> Scores:
        """The eligible actions after `path`, each with the best that can follow it."""
        found = self._stage(situation, path)
        return Scores(found[LOGITS], found[ERRORS])

    def _stage(self, situation: Situation, path: Path) -> NDArray[np.float64]:
        stage = len(path)
        _, out = self._walked(situation, path, _NO_DRAWS, stage, stage)
        return out[:, : situation.count(path)]

    def _walked(
        self, situation: Situation, path: Path, draws: Draws, first: int, last: int
    ) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
        """The whole path, and what `policy.walk` writes of the stages that are wanted."""
        _check(situation, path)
        layout, windows = layouts(situation.catalog), windows_of(situation)
        context = context_side(situation)
        size = len(situation.tree) + len(layout.channels.starts) + len(situation.grid.local_minutes)
        out = np.empty((3, size))
        arguments: tuple[Any, ...] = (
            *self._model,
            *layout.offers,
            *layout.channels,
            *layout.packed(situation.tree),
            *windows.kinds,
            *windows.windows,
            *windows.telling,
            *self._timing(layout, windows),
            *context,
            *facts_of(situation),
            max(1.0, len(context.hashes) / CONTEXT_TOKENS_PER_PRECISION),
            first,
            last,
            *path,
            *(_DRAWN,) * (len(Stage) - len(path)),
            *draws,
            out,
        )
        whole = walk(*arguments)
        if whole[0] == DIVERGED:
            raise DivergedModelError
        return whole, out

    def _summed(self, layout: CatalogLayout, windows: GridWindows) -> Timing:
        sides = (layout.offers, layout.channels, windows.kinds, windows.windows)
        return sum_timing(self._table, self._crosses, *sides)


def _timing_bytes(timing: Timing, *_: object) -> int:
    # Windows are kept elsewhere, and few; a layout is one for all timings of a catalog.
    return timing.offers.nbytes + timing.channels.nbytes


def _check(situation: Situation, path: Path) -> None:
    """Compiled code checks no bounds, and a path may come from a damaged record."""
    for stage, index in enumerate(path):
        if not 0 <= index < situation.count(path[:stage]):
            raise IndexError(f"{path} is no path of the tree")
