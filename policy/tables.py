"""What a regression says of one situation: its blocks summed once, then scored stage by stage."""

import numpy as np

from policy.blocks import (
    PLAIN,
    FloatArray,
    Side,
    affinity_sum,
    base_sum,
    option_sums,
    pair_sums,
)
from policy.catalog import NO_CHANNEL
from policy.layout import layouts
from policy.scores import Scores
from policy.sides import affinity_sides, context_side, window_choices
from policy.situation import Path, Situation, Stage
from policy.stages import (
    Parts,
    Uncertain,
    best_windows,
    channel_scores,
    node_sums,
    offer_scores,
    window_scores,
)
from policy.vw import Weights

# More context must not mean more exploration: the prior precision grows with it.
CONTEXT_TOKENS_PER_PRECISION = 3


class Tables:
    """The scores of everything eligible in one situation."""

    def __init__(self, situation: Situation, weights: Weights) -> None:
        """Sums up all that the three stages need.

        Args:
            situation: its tree must not be empty.
            weights: of the regression, shape (2, 2**18).
        """
        self._situation = situation
        table, self._squares = weights
        self._context = context_side(situation)
        self._layout = layouts(situation.catalog)(situation.tree)
        self._windows = window_choices(situation)
        self._affinities = affinity_sides(situation)
        self._precision = max(1.0, len(self._context.hashes) / CONTEXT_TOKENS_PER_PRECISION)
        self._parts = self._summed(table)
        self._best = best_windows(self._parts, self._layout.nodes)

    def scores(self, path: Path) -> Scores:
        """The eligible actions after `path`, each with the best that can follow it."""
        nodes, uncertain = self._layout.nodes, self._uncertain()
        if not path:
            affinities = self._affinity(self._squares, self._precision)
            return Scores(*offer_scores(self._best, nodes, uncertain, affinities))
        if len(path) == Stage.CHANNEL:
            return Scores(*channel_scores(self._best, nodes, uncertain, path[0]))
        node = int(nodes.starts[path[0]]) + path[1]
        if self._situation.tree[path[0]].channels[path[1]].channel == NO_CHANNEL:
            return Scores(self._best.logits[node : node + 1], np.ones(1))
        return Scores(*window_scores(self._parts, nodes, uncertain, path[0], node))

    def _summed(self, table: FloatArray) -> Parts:
        context, layout = self._context, self._layout
        offers, channels = layout.offers.whole, layout.channels.whole
        windows = self._windows.whole
        return Parts(
            base_sum(table, context),
            option_sums(table, PLAIN, context, offers) + self._affinity(table, PLAIN),
            option_sums(table, PLAIN, context, channels),
            option_sums(table, PLAIN, context, windows),
            node_sums(table, PLAIN, context, offers, channels, layout.nodes),
            pair_sums(table, PLAIN, channels, windows),
            pair_sums(table, PLAIN, offers, windows),
        )

    def _uncertain(self) -> Uncertain:
        layout = self._layout
        return Uncertain(
            self._squares,
            self._precision,
            self._context,
            layout.offers.distinct,
            layout.channels.distinct,
            self._windows.distinct,
        )

    def _affinity(self, table: FloatArray, precision: float) -> FloatArray:
        """Sums of what the request says of single offers; 0 for the others."""
        sums = np.zeros(len(self._situation.tree))
        for offer, facts in self._affinities.items():
            sums[offer] = affinity_sum(table, precision, facts, self._layout.offers.whole, offer)
        return sums
