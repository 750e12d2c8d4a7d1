"""What a regression says of one situation: its blocks summed once, then scored stage by stage."""

import numpy as np

from policy.blocks import PLAIN, FloatArray, Table, affinity_sum
from policy.catalog import NO_CHANNEL
from policy.identity import IdentityCache
from policy.layout import Layout, layouts, size_bytes
from policy.scores import Scores
from policy.sides import Choices, affinity_sides, context_side, window_choices
from policy.situation import Path, Situation, Stage
from policy.stages import (
    Timing,
    Uncertain,
    best_windows,
    channel_scores,
    offer_scores,
    sum_parts,
    sum_timing,
    window_scores,
)
from policy.vw import Weights

# More context must not mean more exploration: the prior precision grows with it.
CONTEXT_TOKENS_PER_PRECISION = 3
TIMING_BYTES_KEPT = 64 * 1024 * 1024
"""Of all timings that are kept for a model, with the layouts that they hold on to."""


class Scorer:
    """One state of a regression's weights, ready to score situations."""

    def __init__(self, weights: Weights) -> None:
        """Takes weights that do not change any more, shape (2, 2**18)."""
        self.weights, self.squares = weights
        # Send windows move on by the hour, and trees are few: most requests share their timing.
        self.timing = IdentityCache(self._timing, TIMING_BYTES_KEPT, _timing_bytes)

    def tables(self, situation: Situation) -> "Tables":
        """The scores of a situation, whose tree must not be empty."""
        return Tables(situation, self)

    def _timing(self, layout: Layout, windows: Choices) -> Timing:
        return sum_timing(self.weights, layout.offers.whole, layout.channels.whole, windows.whole)


class Tables:
    """The scores of everything eligible in one situation."""

    def __init__(self, situation: Situation, scorer: Scorer) -> None:
        self._situation = situation
        self._layout = layout = layouts(situation.catalog)(situation.tree)
        self._affinities = affinity_sides(situation)
        context, windows = context_side(situation), window_choices(situation)
        self._parts = sum_parts(
            scorer.weights,
            context,
            layout.nodes,
            layout.offers.whole,
            layout.channels.whole,
            windows.whole,
            self._affinity(scorer.weights, PLAIN),
            scorer.timing(layout, windows),
        )
        self._best = best_windows(self._parts, layout.nodes)
        self._uncertain = Uncertain(
            scorer.squares,
            max(1.0, len(context.hashes) / CONTEXT_TOKENS_PER_PRECISION),
            context,
            layout.offers.distinct,
            layout.channels.distinct,
            windows.distinct,
        )

    def scores(self, path: Path) -> Scores:
        """The eligible actions after `path`, each with the best that can follow it."""
        nodes, uncertain = self._layout.nodes, self._uncertain
        if not path:
            affinities = self._affinity(uncertain.squares, uncertain.precision)
            return Scores(*offer_scores(self._best, nodes, uncertain, affinities))
        if len(path) == Stage.CHANNEL:
            return Scores(*channel_scores(self._best, nodes, uncertain, path[0]))
        node = int(nodes.starts[path[0]]) + path[1]
        if self._situation.tree[path[0]].channels[path[1]].channel == NO_CHANNEL:
            return Scores(self._best.logits[node : node + 1], np.ones(1))
        return Scores(*window_scores(self._parts, nodes, uncertain, path[0], node))

    def _affinity(self, table: Table, precision: float) -> FloatArray:
        """Sums of what the request says of single offers; 0 for the others."""
        sums = np.zeros(len(self._situation.tree))
        for offer, facts in self._affinities.items():
            sums[offer] = affinity_sum(table, precision, facts, self._layout.offers.whole, offer)
        return sums


def _timing_bytes(timing: Timing, layout: Layout, _: Choices) -> int:
    # Windows are kept elsewhere, and few; a layout that was forgotten elsewhere stays for this.
    return timing.offers.nbytes + timing.channels.nbytes + size_bytes(layout)
