"""Scores the actions of each stage: the best logit that each can lead to, and how well it is known.

An option's variance is a sum over the weights of its stage, those of its own tokens and of all that
they are crossed with, for the best channel and window that can follow it.
"""

from typing import NamedTuple

import numpy as np

from policy.blocks import FloatArray, IntArray, Lookup
from policy.compiled import inner, leaf
from policy.crosses import CN, CO, COW, CW, ONW, OW
from policy.nodes import Nodes, windows_of
from policy.options import Starts, span
from policy.parts import Best
from policy.sums import (
    Action,
    Asked,
    all_sum,
    channel_window_sum,
    crossed_sum,
    fact_sum,
    node_sum,
    offer_window_sum,
)


class Uncertain(NamedTuple):
    """What variances are summed from."""

    squares: Lookup
    """Sums of squared gradients."""
    precision: float
    """Of the prior, above 0."""
    options: Starts
    """Without the tokens that all have: see `policy.options.put_telling`."""


class Scored(NamedTuple):
    """The actions of a stage; arrays of shape (actions,)."""

    logits: FloatArray
    errors: FloatArray
    """Their standard errors."""


@leaf
def action(o: Starts, offer: int, channel: int, window: int) -> Action:
    """An action by the places of its options; without a send time below 0."""
    return Action(
        span(o.offers, offer),
        span(o.facts, offer),
        span(o.channels, channel),
        span(o.windows, max(window, 0)),
    )


@inner
def offer_scores(a: Asked, nodes: Nodes, o: Starts, best: Best, u: Uncertain) -> Scored:
    """The offers, each with its best channel and window."""
    count = len(nodes.starts) - 1
    scored = Scored(np.empty(count), np.empty(count))
    fill_offers(a, nodes, o, best, u, scored)
    return scored


@leaf
def fill_offers(  # noqa: PLR0913, PLR0917 - as `offer_scores`, with room for what it makes
    a: Asked, nodes: Nodes, o: Starts, best: Best, u: Uncertain, scored: Scored
) -> None:
    """Writes the offers' scores."""
    for offer in range(len(scored.logits)):
        found = nodes.starts[offer]
        for node in range(found + 1, nodes.starts[offer + 1]):
            if best.logits[node] > best.logits[found]:
                found = node
        channel, window = nodes.channels[found], best.windows[found]
        x = action(u.options, offer, channel, window)
        whole = Action(span(o.offers, offer), x.facts, x.channel, x.window)
        variance = fact_sum(u.squares, u.precision, a, whole)
        variance += offer_variance(u.squares, u.precision, a, x, window >= 0)
        scored.logits[offer], scored.errors[offer] = best.logits[found], np.sqrt(variance)


@leaf
def offer_variance(
    squares: Lookup,
    precision: float,
    a: Asked,
    x: Action,
    is_timed: bool,  # noqa: FBT001 - compiled code has no keywords
) -> float:
    """An offer's variance, with its best channel and window, without what the request says."""
    variance = crossed_sum(squares, precision, a, CO, x.offer)
    variance += node_sum(squares, precision, a, x)
    if not is_timed:
        return variance + untimed_variance(squares, precision, a)
    variance += offer_window_sum(squares, precision, a, x)
    return variance + all_sum(squares, precision, a, x)


@leaf
def untimed_variance(squares: Lookup, precision: float, a: Asked) -> float:
    """In place of a send time's: not to send is as uncertain as the rest before all learning."""
    tokens = 0.0
    if a.crosses & OW:
        tokens += 1.0
    if a.crosses & ONW:
        tokens += 1.0
    if a.crosses & COW:
        for c in range(a.context.start, a.context.end):
            tokens += squares.values[c] * squares.values[c]
    return tokens / precision


@inner
def channel_scores(a: Asked, nodes: Nodes, best: Best, u: Uncertain, offer: int) -> Scored:
    """An offer's channels, each with its best window."""
    count = nodes.starts[offer + 1] - nodes.starts[offer]
    scored = Scored(np.empty(count), np.empty(count))
    fill_channels(a, nodes, best, u, offer, scored)
    return scored


@leaf
def fill_channels(  # noqa: PLR0913, PLR0917 - as `channel_scores`, with room for what it makes
    a: Asked, nodes: Nodes, best: Best, u: Uncertain, offer: int, scored: Scored
) -> None:
    """Writes the scores of an offer's channels."""
    start = nodes.starts[offer]
    for k in range(len(scored.logits)):
        window = best.windows[start + k]
        x = action(u.options, offer, nodes.channels[start + k], window)
        variance = crossed_sum(u.squares, u.precision, a, CN, x.channel)
        variance += node_sum(u.squares, u.precision, a, x)
        if window >= 0:
            variance += channel_window_sum(u.squares, u.precision, a, x)
            variance += all_sum(u.squares, u.precision, a, x)
        scored.logits[k], scored.errors[k] = best.logits[start + k], np.sqrt(variance)


@inner
def untimed_scores(logit: float) -> Scored:
    """Not to send has no time to choose."""
    logits, errors = np.empty(1), np.empty(1)
    logits[0], errors[0] = logit, 1.0
    return Scored(logits, errors)


@inner
def window_scores(  # noqa: PLR0913, PLR0917 - a request, its tree, window sums, and which node
    a: Asked, nodes: Nodes, found: FloatArray, pair: float, u: Uncertain, offer: int, node: int
) -> Scored:
    """A node's eligible send windows.

    Args:
        a: the request.
        nodes: the tree.
        found: what each window, eligible or not, adds; shape (windows,).
        pair: logit of offer and channel, to which it is added.
        u: what variances are summed from.
        offer: the offer.
        node: the offer with the channel.
    """
    eligible = windows_of(nodes.masks, nodes.rows[node], len(found))
    scored = Scored(np.empty(len(eligible)), np.empty(len(eligible)))
    fill_windows(a, eligible, found, pair, u, offer, nodes.channels[node], scored)
    return scored


@leaf
def fill_windows(  # noqa: PLR0913, PLR0917 - as `window_scores`, with room for what it makes
    a: Asked,
    eligible: IntArray,
    found: FloatArray,
    pair: float,
    u: Uncertain,
    offer: int,
    channel: int,
    scored: Scored,
) -> None:
    """Writes the scores of some windows."""
    for k in range(len(eligible)):
        x = action(u.options, offer, channel, eligible[k])
        variance = crossed_sum(u.squares, u.precision, a, CW, x.window)
        variance += channel_window_sum(u.squares, u.precision, a, x)
        variance += offer_window_sum(u.squares, u.precision, a, x)
        variance += all_sum(u.squares, u.precision, a, x)
        scored.logits[k], scored.errors[k] = pair + found[eligible[k]], np.sqrt(variance)
