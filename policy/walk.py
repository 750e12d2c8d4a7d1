"""A whole choice in one call of compiled code: scores, pmfs and draws of all stages.

Each call of compiled code costs microseconds, and so does each tuple of arrays that goes in or out.
So everything comes in flat, and goes out in one array; the functions underneath see its parts.
"""

import numpy as np
from numpy.typing import NDArray

from policy.blocks import (
    SQUARES,
    WEIGHTS,
    FloatArray,
    IntArray,
    Lookup,
    Options,
    Side,
    Span,
    Table,
)
from policy.compiled import compiled, inner
from policy.draw import pick
from policy.exploration_kinds import Rule, all_finite, explored
from policy.nodes import Packed, unpacked
from policy.options import (
    Starts,
    put_facts,
    put_options,
    put_side,
    put_some,
    put_telling,
    room,
    tokens_of,
)
from policy.parts import (
    Timing,
    Windows,
    best_windows,
    fill_window_logits,
    pair_logit,
    sum_parts,
)
from policy.stages import (
    Scored,
    Uncertain,
    channel_scores,
    offer_scores,
    untimed_scores,
    window_scores,
)
from policy.sums import Asked

PMF, LOGITS, ERRORS = range(3)
"""Rows of what comes out."""
DIVERGED = -1
"""In place of a choice: a score was not finite."""


@compiled
def walk(  # noqa: PLR0913, PLR0917 - see above
    weights: Table,
    crosses: int,
    start: float,
    unit: float,
    kind: int,
    floor: float,
    error_scale: float,
    gamma: float,
    epsilon: float,
    temperature: float,
    offer_hashes: IntArray,
    offer_values: FloatArray,
    offer_starts: IntArray,
    channel_hashes: IntArray,
    channel_values: FloatArray,
    channel_starts: IntArray,
    tree_offers: IntArray,
    tree_patterns: IntArray,
    pattern_starts: IntArray,
    row_channels: IntArray,
    row_masks: NDArray[np.uint64],
    kind_hashes: IntArray,
    kind_values: FloatArray,
    kind_starts: IntArray,
    window_tokens: IntArray,
    window_starts: IntArray,
    telling_hashes: IntArray,
    telling_values: FloatArray,
    telling_starts: IntArray,
    timing_offers: FloatArray,
    timing_channels: FloatArray,
    context_hashes: IntArray,
    context_values: FloatArray,
    fact_hashes: IntArray,
    fact_values: FloatArray,
    fact_starts: IntArray,
    precision: float,
    first: int,
    last: int,
    offer: int,
    channel: int,
    window: int,
    offer_draw: float,
    channel_draw: float,
    window_draw: float,
    out: NDArray[np.float64],
) -> tuple[int, int, int]:
    """Walks a tree, from a stage on.

    Args, by groups: the model's weights and how they were learned; how it explores; tokens of the
    catalog's offers and channels, the last of which is that of not sending; the tree; the send
    windows, their tokens and what they add; the request; the precision of the prior; the first
    and the last stage that are wanted; the path, where -1 is drawn; the draws; and where to write.

    Writes, for each stage from `first` to `last`, pmf, logits and errors of its actions to the rows
    of `out`: offers first, then channels, then windows.

    Returns:
        The path; beginning with `DIVERGED` if a score was not finite.
    """
    rule = Rule(kind, floor, error_scale, gamma, epsilon, temperature)
    tree = Packed(tree_offers, tree_patterns, pattern_starts, row_channels, row_masks)
    offers = Options(offer_hashes, offer_values, offer_starts)
    channels = Options(channel_hashes, channel_values, channel_starts)
    no_channel = len(channel_starts) - 2
    nodes = unpacked(tree, no_channel + 1)
    offer_tokens, channel_tokens = tokens_of(offers, tree_offers), tokens_of(channels, nodes.used)
    others = len(context_hashes) + len(fact_hashes) + len(kind_hashes) + len(telling_hashes)
    tokens = room(others + 2 * offer_tokens + 2 * channel_tokens)
    end = put_side(tokens, 0, Side(context_hashes, context_values))
    a = Asked(crosses, Span(0, end))
    facts = put_facts(tokens, end, Options(fact_hashes, fact_values, fact_starts), len(tree_offers))
    kinds = put_options(tokens, facts[-1], Options(kind_hashes, kind_values, kind_starts))
    apart = Options(telling_hashes, telling_values, telling_starts)
    telling_windows = put_options(tokens, kinds[-1], apart)
    of_offers = put_some(tokens, telling_windows[-1], offers, tree_offers)
    of_channels = put_some(tokens, of_offers[-1], channels, nodes.used)
    telling_offers = put_telling(tokens, of_channels[-1], of_offers)
    end = of_channels[-1] + offer_tokens
    telling_channels = put_telling(tokens, end, of_channels)
    o = Starts(facts, of_offers, of_channels, kinds)
    windows, timing = Windows(window_tokens, window_starts), Timing(timing_offers, timing_channels)
    lookup = Lookup(weights, WEIGHTS, tokens.hashes, tokens.values)
    parts = sum_parts(lookup, a, nodes, o, windows, timing, tree_offers)
    best = best_windows(lookup, a, nodes, o, windows, parts, no_channel)
    u = Uncertain(
        Lookup(weights, SQUARES, tokens.hashes, tokens.values),
        precision,
        Starts(facts, telling_offers, telling_channels, telling_windows),
    )
    end = 0
    if first == 0:
        scored = offer_scores(a, nodes, o, best, u)
        end, offer = put(out, end, scored, rule, start, unit, offer, offer_draw)
        if offer == DIVERGED or last == 0:
            return offer, channel, window
    if first <= 1:
        scored = channel_scores(a, nodes, best, u, offer)
        end, channel = put(out, end, scored, rule, start, unit, channel, channel_draw)
        if channel == DIVERGED:
            return DIVERGED, channel, window
        if last == 1:
            return offer, channel, window
    node = nodes.starts[offer] + channel
    pair = pair_logit(parts, nodes, offer, node)
    if best.windows[node] < 0:
        scored = untimed_scores(pair)
    else:
        kept, found = np.empty(len(kinds) - 1), np.empty(len(window_starts) - 1)
        fill_window_logits(lookup, a, o, windows, parts, offer, nodes.channels[node], kept, found)
        scored = window_scores(a, nodes, found, pair, u, offer, node)
    _, window = put(out, end, scored, rule, start, unit, window, window_draw)
    return offer if window != DIVERGED else DIVERGED, channel, window


@inner
def put(  # noqa: PLR0913, PLR0917 - a stage and how to choose from it
    out: NDArray[np.float64],
    place: int,
    scored: Scored,
    rule: Rule,
    start: float,
    unit: float,
    chosen: int,
    draw: float,
) -> tuple[int, int]:
    """Writes a stage from a place on; returns the place behind it and what is chosen."""
    logits, errors, count = scored.logits, scored.errors, len(scored.logits)
    for action in range(count):
        logits[action] += start
        errors[action] *= unit
        out[LOGITS, place + action], out[ERRORS, place + action] = logits[action], errors[action]
    if count == 1:  # where there is only one action, nobody need be asked
        out[PMF, place] = 1.0
        return place + 1, 0
    if not (all_finite(logits) and all_finite(errors)):
        return place, DIVERGED
    pmf = explored(rule, logits, errors)
    for action in range(count):
        out[PMF, place + action] = pmf[action]
    return place + count, pick(pmf, draw) if chosen < 0 else chosen
