"""Scores the actions of each stage from the blocks' sums: compiled loops over the tree's nodes."""

from typing import NamedTuple

import numpy as np

from policy.blocks import (
    PLAIN,
    FloatArray,
    IntArray,
    Options,
    Side,
    Table,
    base_sum,
    option_sum,
    option_sums,
    pair_sum,
    pair_sums,
    triple_sum,
)
from policy.compiled import compiled
from policy.layout import MASK_BITS, Nodes


class Timing(NamedTuple):
    """What send windows add to offers and channels, whatever the context."""

    channels: FloatArray
    """Shape (channels, windows)."""
    offers: FloatArray
    """Shape (offers, windows)."""


class Parts(NamedTuple):
    """What each part of an action adds to its logit."""

    base: float
    """The constant and the context alone."""
    offers: FloatArray
    """Shape (offers,)."""
    channels: FloatArray
    """Shape (channels,)."""
    windows: FloatArray
    """Shape (windows,)."""
    pairs: FloatArray
    """Offer with channel; shape (nodes,)."""
    channel_windows: FloatArray
    """Shape (channels, windows)."""
    offer_windows: FloatArray
    """Shape (offers, windows)."""


class Uncertain(NamedTuple):
    """What the variances of a situation are summed from."""

    squares: Table
    """Sums of squared gradients."""
    precision: float
    """Of the prior, above 0."""
    context: Side
    offers: Options
    channels: Options
    windows: Options


class Best(NamedTuple):
    """The best send window of each node; arrays of shape (nodes,)."""

    logits: FloatArray
    windows: IntArray
    """-1 where a channel has no send time."""


@compiled
def sum_timing(table: Table, offers: Options, channels: Options, windows: Options) -> Timing:
    """Sums up what windows add to offers and channels."""
    return Timing(
        pair_sums(table, PLAIN, channels, windows), pair_sums(table, PLAIN, offers, windows)
    )


@compiled
def is_eligible(nodes: Nodes, node: int, window: int) -> bool:
    """Whether a window is eligible at a node."""
    word = window // MASK_BITS
    # Masks end with the last eligible window, not with the grid; compiled code checks no bounds.
    if word >= nodes.masks.shape[1]:
        return False
    return bool((nodes.masks[node, word] >> np.uint64(window % MASK_BITS)) & np.uint64(1))


@compiled
def window_logit(parts: Parts, offer: int, channel: int, window: int) -> float:
    """What a send window adds to its offer and channel."""
    pairs = parts.channel_windows[channel, window] + parts.offer_windows[offer, window]
    return float(parts.windows[window] + pairs)


@compiled
def sum_parts(  # noqa: PLR0913, PLR0917 - one call in place of six: each costs microseconds
    table: Table,
    context: Side,
    nodes: Nodes,
    offers: Options,
    channels: Options,
    windows: Options,
    affinities: FloatArray,
    timing: Timing,
) -> Parts:
    """Sums up all that the stages need.

    Args:
        table: weights.
        context: the request's features.
        nodes: the tree.
        offers: all in the tree.
        channels: all in the tree.
        windows: all of the grid.
        affinities: what the request adds to single offers, shape (offers,).
        timing: what does not depend on the context.
    """
    pairs = np.empty(len(nodes.channels))
    for offer in range(len(nodes.starts) - 1):
        for node in range(nodes.starts[offer], nodes.starts[offer + 1]):
            channel = nodes.channels[node]
            pairs[node] = triple_sum(table, PLAIN, context, offers, offer, channels, channel)
    return Parts(
        base_sum(table, context),
        option_sums(table, PLAIN, context, offers) + affinities,
        option_sums(table, PLAIN, context, channels),
        option_sums(table, PLAIN, context, windows),
        pairs,
        timing.channels,
        timing.offers,
    )


@compiled
def best_windows(parts: Parts, nodes: Nodes) -> Best:
    """The best window of each node; the first one of equal ones."""
    logits = np.empty(len(nodes.channels))
    windows = np.full(len(nodes.channels), -1)
    for offer in range(len(nodes.starts) - 1):
        for node in range(nodes.starts[offer], nodes.starts[offer + 1]):
            channel = nodes.channels[node]
            best = 0.0
            if nodes.timed[channel]:
                best = -np.inf
                for window in range(len(parts.windows)):
                    if is_eligible(nodes, node, window):
                        logit = window_logit(parts, offer, channel, window)
                        if logit > best or windows[node] < 0:
                            best = logit
                            windows[node] = window
            pair = parts.offers[offer] + parts.channels[channel] + parts.pairs[node]
            logits[node] = parts.base + pair + best
    return Best(logits, windows)


@compiled
def offer_scores(
    best: Best, nodes: Nodes, uncertain: Uncertain, affinities: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Logits and standard errors of the offers, each with its best channel and window.

    Args:
        best: of each node.
        nodes: the tree.
        uncertain: what variances are summed from.
        affinities: variances of what the request says of the offers, shape (offers,).
    """
    u = uncertain
    count = len(nodes.starts) - 1
    logits, errors = np.empty(count), np.empty(count)
    for offer in range(count):
        found = nodes.starts[offer]
        for node in range(found + 1, nodes.starts[offer + 1]):
            if best.logits[node] > best.logits[found]:
                found = node
        channel, window = nodes.channels[found], best.windows[found]
        variance = affinities[offer]
        variance += option_sum(u.squares, u.precision, u.context, u.offers, offer)
        variance += triple_sum(
            u.squares, u.precision, u.context, u.offers, offer, u.channels, channel
        )
        if window >= 0:
            variance += pair_sum(u.squares, u.precision, u.offers, offer, u.windows, window)
        else:  # not to send is as uncertain as the others, before anything is learned
            variance += 1.0 / u.precision
        logits[offer] = best.logits[found]
        errors[offer] = np.sqrt(variance)
    return logits, errors


@compiled
def channel_scores(
    best: Best, nodes: Nodes, uncertain: Uncertain, offer: int
) -> tuple[FloatArray, FloatArray]:
    """The same of an offer's channels, each with its best window."""
    u = uncertain
    start, end = nodes.starts[offer], nodes.starts[offer + 1]
    errors = np.empty(end - start)
    for node in range(start, end):
        channel, window = nodes.channels[node], best.windows[node]
        variance = option_sum(u.squares, u.precision, u.context, u.channels, channel)
        variance += triple_sum(
            u.squares, u.precision, u.context, u.offers, offer, u.channels, channel
        )
        if window >= 0:
            variance += pair_sum(u.squares, u.precision, u.channels, channel, u.windows, window)
        errors[node - start] = np.sqrt(variance)
    return best.logits[start:end].copy(), errors


@compiled
def window_scores(
    parts: Parts, nodes: Nodes, uncertain: Uncertain, offer: int, node: int
) -> tuple[FloatArray, FloatArray]:
    """The same of a node's send windows."""
    u = uncertain
    channel = nodes.channels[node]
    pair = parts.offers[offer] + parts.channels[channel] + parts.pairs[node]
    logits, errors = np.empty(len(parts.windows)), np.empty(len(parts.windows))
    count = 0
    for window in range(len(parts.windows)):
        if is_eligible(nodes, node, window):
            variance = option_sum(u.squares, u.precision, u.context, u.windows, window)
            variance += pair_sum(u.squares, u.precision, u.channels, channel, u.windows, window)
            variance += pair_sum(u.squares, u.precision, u.offers, offer, u.windows, window)
            logits[count] = parts.base + pair + window_logit(parts, offer, channel, window)
            errors[count] = np.sqrt(variance)
            count += 1
    return logits[:count], errors[:count]
