"""What each part of an action adds to its logit, and the best send window of each node."""

from typing import NamedTuple

import numpy as np

from policy.blocks import (
    NOTHING,
    PLAIN,
    WEIGHTS,
    FloatArray,
    IntArray,
    Lookup,
    Options,
    Table,
    base_sum,
    pair_sum,
)
from policy.compiled import compiled, inner, leaf
from policy.crosses import CN, CNW, CO, COW, CW, NW, ONW, OW, RW
from policy.nodes import Nodes, first_best
from policy.options import Starts, put_options, room, span
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


class Windows(NamedTuple):
    """The send windows of a grid. Each has a few tokens, most of which others have as well."""

    tokens: IntArray
    """The kinds of each window's tokens, end to end."""
    starts: IntArray
    """Where each window's tokens begin, and where the last one's end; shape (windows + 1,)."""


class Timing(NamedTuple):
    """What send windows add to a catalog's offers and channels, whatever the request."""

    offers: FloatArray
    """Shape (offers, windows)."""
    channels: FloatArray
    """Shape (channels, windows)."""


class Parts(NamedTuple):
    """What each part of an action adds to its logit."""

    offers: FloatArray
    """With what all actions share; shape (offers,)."""
    channels: FloatArray
    """Shape (channels,)."""
    pairs: FloatArray
    """Offer with channel; shape (nodes,)."""
    offer_windows: FloatArray
    """The window, alone and with the offer; shape (offers, windows)."""
    channel_windows: FloatArray
    """Shape (channels, windows)."""


class Best(NamedTuple):
    """The best send window of each node; arrays of shape (nodes,)."""

    logits: FloatArray
    windows: IntArray
    """-1 where a channel has no send time."""


@leaf
def add_by_window(windows: Windows, kinds: FloatArray, sums: FloatArray) -> None:
    """Adds sums by kind of token to sums by window, of shape (windows,)."""
    for window in range(len(sums)):
        for t in range(windows.starts[window], windows.starts[window + 1]):
            sums[window] += kinds[windows.tokens[t]]


@inner
def timed_pairs(table: Table, options: Options, kinds: Options, windows: Windows) -> FloatArray:
    """All options with all windows; shape (options, windows)."""
    tokens = room(len(options.hashes) + len(kinds.hashes))
    starts = put_options(tokens, 0, options)
    kind_starts = put_options(tokens, len(options.hashes), kinds)
    lookup = Lookup(table, WEIGHTS, tokens.hashes, tokens.values)
    sums = np.zeros((len(starts) - 1, len(windows.starts) - 1))
    found = np.empty(len(kind_starts) - 1)
    for option in range(len(sums)):
        for kind in range(len(found)):
            found[kind] = pair_sum(lookup, PLAIN, span(starts, option), span(kind_starts, kind))
        add_by_window(windows, found, sums[option])
    return sums


@compiled
def sum_timing(  # noqa: PLR0913, PLR0917 - the options of three sides
    table: Table,
    crosses: int,
    offers: Options,
    channels: Options,
    kinds: Options,
    windows: Windows,
) -> Timing:
    """Sums up what windows add to offers and channels; 0 if they are not crossed.

    Args:
        table: weights.
        crosses: what the model crosses, as bits of `policy.crosses`.
        offers: all of a catalog.
        channels: all of a catalog.
        kinds: the tokens of windows, each an option of its own.
        windows: all of a grid.
    """
    timing = Timing(
        timed_pairs(table, offers, kinds, windows), timed_pairs(table, channels, kinds, windows)
    )
    if not crosses & OW:
        timing.offers[:] = 0.0
    if not crosses & NW:
        timing.channels[:] = 0.0
    return timing


@inner
def untimed(a: Asked) -> Asked:
    """The request without the crosses that `Timing` has already."""
    return Asked(a.crosses & ~(OW | NW), a.context)


@inner
def window_sums(tokens: Lookup, a: Asked, kinds: IntArray, windows: Windows) -> FloatArray:
    """The send windows alone and with the context; shape (windows,)."""
    found = np.empty(len(kinds) - 1)
    for kind in range(len(found)):
        found[kind] = crossed_sum(tokens, PLAIN, a, CW, span(kinds, kind))
    sums = np.zeros(len(windows.starts) - 1)
    add_by_window(windows, found, sums)
    return sums


@inner
def offer_windows(  # noqa: PLR0913, PLR0917 - a request, its options, and what is known of them
    tokens: Lookup, a: Asked, o: Starts, windows: Windows, timing: FloatArray, places: IntArray
) -> FloatArray:
    """The send windows alone and with each offer; shape (offers, windows)."""
    alone, rest = window_sums(tokens, a, o.windows, windows), untimed(a)
    sums, found = np.empty((len(places), len(alone))), np.empty(len(o.windows) - 1)
    add_rows(alone, timing, places, sums)
    if a.crosses & (COW | RW):
        for offer in range(len(places)):
            for kind in range(len(found)):
                x = Action(
                    span(o.offers, offer), span(o.facts, offer), NOTHING, span(o.windows, kind)
                )
                found[kind] = offer_window_sum(tokens, PLAIN, rest, x)
            add_by_window(windows, found, sums[offer])
    return sums


@leaf
def add_rows(alone: FloatArray, timing: FloatArray, places: IntArray, sums: FloatArray) -> None:
    """Writes some rows, each with the same added."""
    for row in range(len(places)):
        for window in range(len(alone)):
            sums[row, window] = alone[window] + timing[places[row], window]


@inner
def channel_windows(  # noqa: PLR0913, PLR0917 - as `offer_windows`
    tokens: Lookup, a: Asked, o: Starts, windows: Windows, timing: FloatArray, places: IntArray
) -> FloatArray:
    """The send windows with each channel; shape (channels, windows)."""
    rest = untimed(a)
    sums = np.empty((len(places), len(windows.starts) - 1))
    found = np.empty(len(o.windows) - 1)
    for channel in range(len(places)):
        for window in range(sums.shape[1]):
            sums[channel, window] = timing[places[channel], window]
        if a.crosses & CNW:
            for kind in range(len(found)):
                x = Action(NOTHING, NOTHING, span(o.channels, channel), span(o.windows, kind))
                found[kind] = channel_window_sum(tokens, PLAIN, rest, x)
            add_by_window(windows, found, sums[channel])
    return sums


@inner
def sum_parts(  # noqa: PLR0913, PLR0917 - as `offer_windows`
    tokens: Lookup,
    a: Asked,
    nodes: Nodes,
    o: Starts,
    windows: Windows,
    timing: Timing,
    places: IntArray,
) -> Parts:
    """Sums up all that the stages need.

    Args:
        tokens: with the weights.
        a: the request.
        nodes: the tree.
        o: its options; of windows their kinds of tokens.
        windows: all of the grid.
        timing: what depends on neither request nor tree.
        places: of the tree's offers in the catalog.
    """
    offers, channels = np.empty(len(places)), np.empty(len(nodes.used))
    pairs = np.empty(len(nodes.channels))
    fill_parts(tokens, a, nodes, o, offers, channels, pairs)
    with_offers = offer_windows(tokens, a, o, windows, timing.offers, places)
    with_channels = channel_windows(tokens, a, o, windows, timing.channels, nodes.used)
    return Parts(offers, channels, pairs, with_offers, with_channels)


@leaf
def fill_parts(  # noqa: PLR0913, PLR0917 - as `sum_parts`, with room for what it makes
    tokens: Lookup,
    a: Asked,
    nodes: Nodes,
    o: Starts,
    offers: FloatArray,
    channels: FloatArray,
    pairs: FloatArray,
) -> None:
    """Writes what offers, channels and their pairs add."""
    shared = base_sum(tokens, a.context)
    for channel in range(len(channels)):
        channels[channel] = crossed_sum(tokens, PLAIN, a, CN, span(o.channels, channel))
    for offer in range(len(offers)):
        own, facts = span(o.offers, offer), span(o.facts, offer)
        with_facts = fact_sum(tokens, PLAIN, a, Action(own, facts, NOTHING, NOTHING))
        offers[offer] = shared + crossed_sum(tokens, PLAIN, a, CO, own) + with_facts
        for node in range(nodes.starts[offer], nodes.starts[offer + 1]):
            channel_span = span(o.channels, nodes.channels[node])
            pairs[node] = node_sum(tokens, PLAIN, a, Action(own, facts, channel_span, NOTHING))


@leaf
def fill_window_logits(  # noqa: PLR0913, PLR0917 - one action's parts, and where to write
    tokens: Lookup,
    a: Asked,
    o: Starts,
    windows: Windows,
    parts: Parts,
    offer: int,
    channel: int,
    found: FloatArray,
    logits: FloatArray,
) -> None:
    """Writes what each window, eligible or not, adds to an offer and channel; shape (windows,).

    `found` has room for a number of each kind of token.
    """
    for window in range(len(logits)):
        with_channel = parts.channel_windows[channel, window]
        logits[window] = parts.offer_windows[offer, window] + with_channel
    if a.crosses & ONW:
        for kind in range(len(found)):
            x = Action(
                span(o.offers, offer), NOTHING, span(o.channels, channel), span(o.windows, kind)
            )
            found[kind] = all_sum(tokens, PLAIN, a, x)
        add_by_window(windows, found, logits)


@leaf
def pair_logit(parts: Parts, nodes: Nodes, offer: int, node: int) -> float:
    """An offer on a channel, without a send time."""
    return float(parts.offers[offer] + parts.channels[nodes.channels[node]] + parts.pairs[node])


@inner
def best_windows(  # noqa: PLR0913, PLR0917 - as `sum_parts`
    tokens: Lookup,
    a: Asked,
    nodes: Nodes,
    o: Starts,
    windows: Windows,
    parts: Parts,
    no_channel: int,
) -> Best:
    """The best eligible window of each node.

    Args:
        tokens: with the weights.
        a: the request.
        nodes: the tree.
        o: its options; of windows their kinds of tokens.
        windows: all of the grid.
        parts: of the actions.
        no_channel: place, in the catalog, of the channel of not sending, which has no time.
    """
    best = Best(np.empty(len(nodes.channels)), np.empty(len(nodes.channels), dtype=np.int64))
    kinds, found = np.empty(len(o.windows) - 1), np.empty(len(windows.starts) - 1)
    fill_best(tokens, a, nodes, o, windows, parts, no_channel, kinds, found, best)
    return best


@leaf
def fill_best(  # noqa: PLR0913, PLR0917 - as `best_windows`, with room for what it makes
    tokens: Lookup,
    a: Asked,
    nodes: Nodes,
    o: Starts,
    windows: Windows,
    parts: Parts,
    no_channel: int,
    kinds: FloatArray,
    found: FloatArray,
    best: Best,
) -> None:
    """Writes the best eligible window of each node."""
    for offer in range(len(nodes.starts) - 1):
        for node in range(nodes.starts[offer], nodes.starts[offer + 1]):
            channel = nodes.channels[node]
            best.logits[node], best.windows[node] = pair_logit(parts, nodes, offer, node), -1
            if nodes.used[channel] != no_channel:
                fill_window_logits(tokens, a, o, windows, parts, offer, channel, kinds, found)
                best.windows[node] = first_best(nodes.masks, nodes.rows[node], found)
                best.logits[node] += found[best.windows[node]]
