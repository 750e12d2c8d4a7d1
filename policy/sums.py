"""What each block of an action adds: of an offer, a channel, a window, and of two or three at once.

Each sum is read in the two ways of `policy.blocks`: of weights with a precision of 0, of variances
with that of the prior. It grows with the size of the options that a weight belongs to, so that
before anything is learned an option with many features is no more uncertain than one with few.
"""

from typing import NamedTuple

from policy.blocks import NOTHING, Lookup, Span, option_sum, pair_sum, size, triple_sum
from policy.compiled import leaf
from policy.crosses import CNW, CON, COW, CR, NW, ON, ONW, OW, RN, RO, RW


class Asked(NamedTuple):
    """The context, and what the model crosses."""

    crosses: int
    """Bits of `policy.crosses`."""
    context: Span


class Action(NamedTuple):
    """An action, or as much of it as matters."""

    offer: Span
    facts: Span
    """What the request says of the offer."""
    channel: Span
    window: Span


@leaf
def context_if(a: Asked, cross: int) -> Span:
    """The context where something is crossed with it; else nothing."""
    return a.context if a.crosses & cross else NOTHING


@leaf
def crossed_sum(tokens: Lookup, precision: float, a: Asked, cross: int, option: Span) -> float:
    """One option: alone and, where that is crossed, with the context."""
    return option_sum(tokens, precision * size(tokens, option), context_if(a, cross), option)


@leaf
def fact_sum(tokens: Lookup, precision: float, a: Asked, x: Action) -> float:
    """What the request says of an offer: alone, with the context, with the offer's tokens."""
    total = option_sum(tokens, precision, context_if(a, CR), x.facts)
    if a.crosses & RO:
        total += pair_sum(tokens, precision, x.facts, x.offer)
    return total


@leaf
def node_sum(tokens: Lookup, precision: float, a: Asked, x: Action) -> float:
    """An offer with a channel."""
    total, own = 0.0, precision * size(tokens, x.channel)
    prior = own * size(tokens, x.offer)
    if a.crosses & ON:
        total += pair_sum(tokens, prior, x.offer, x.channel)
    if a.crosses & CON:
        total += triple_sum(tokens, prior, a.context, x.offer, x.channel)
    if a.crosses & RN:
        total += pair_sum(tokens, own, x.facts, x.channel)
    return total


@leaf
def offer_window_sum(tokens: Lookup, precision: float, a: Asked, x: Action) -> float:
    """An offer with a send window."""
    total, own = 0.0, precision * size(tokens, x.window)
    prior = own * size(tokens, x.offer)
    if a.crosses & OW:
        total += pair_sum(tokens, prior, x.offer, x.window)
    if a.crosses & COW:
        total += triple_sum(tokens, prior, a.context, x.offer, x.window)
    if a.crosses & RW:
        total += pair_sum(tokens, own, x.facts, x.window)
    return total


@leaf
def channel_window_sum(tokens: Lookup, precision: float, a: Asked, x: Action) -> float:
    """A channel with a send window."""
    total, prior = 0.0, precision * size(tokens, x.channel) * size(tokens, x.window)
    if a.crosses & NW:
        total += pair_sum(tokens, prior, x.channel, x.window)
    if a.crosses & CNW:
        total += triple_sum(tokens, prior, a.context, x.channel, x.window)
    return total


@leaf
def all_sum(tokens: Lookup, precision: float, a: Asked, x: Action) -> float:
    """An offer with a channel and a send window."""
    if a.crosses & ONW == 0:
        return 0.0
    sizes = size(tokens, x.offer) * size(tokens, x.channel) * size(tokens, x.window)
    return triple_sum(tokens, precision * sizes, x.offer, x.channel, x.window)
