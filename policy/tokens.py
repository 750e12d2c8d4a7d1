"""The tokens of each side of an action: what the model knows of context, offer, channel, window."""

from collections.abc import Mapping
from functools import lru_cache
from math import gcd

from policy.catalog import NO_CHANNEL
from policy.features import Token, Tokens, builtin_token, feature_tokens, token_text
from policy.situation import Grid, Path, Situation

DAY_MINUTES = 1440
DAY_MS = 86_400_000


def context_tokens(situation: Situation) -> Tokens:
    """What is known of the subject and the moment."""
    return feature_tokens(situation.features)


def request_tokens(situation: Situation, offer: str) -> Tokens:
    """What is known of the subject and one offer together."""
    features = situation.offer_features.get(offer)
    return feature_tokens(features) if features else ()


def days_ahead(grid: Grid) -> tuple[int, ...]:
    """How many days each send window lies ahead of the first moment that is not too early."""
    step_ms, lead_ms = grid.step_ms, grid.earliest_ms - grid.start_ms
    if step_ms <= 0:
        return tuple([_days_ahead(grid, window) for window in range(len(grid.local_minutes))])
    # A day and every window are whole numbers of this unit: less of a lead changes no day.
    unit_ms = gcd(step_ms, DAY_MS)
    return _ahead(step_ms, -(-lead_ms // unit_ms) * unit_ms, len(grid.local_minutes))


@lru_cache(maxsize=4096)
def _ahead(step_ms: int, lead_ms: int, count: int) -> tuple[int, ...]:
    """Days from `lead_ms` after the start of the first window to the start of each."""
    return tuple([max(window * step_ms - lead_ms, 0) // DAY_MS for window in range(count)])


@lru_cache(maxsize=16_384)
def window_tokens(local_minute: int, ahead: int) -> Tokens:
    """The local time of a send window, and how many days ahead it lies."""
    day, minute = divmod(local_minute, DAY_MINUTES)
    facts = {"minute": minute, "day": day, "ahead": ahead}
    return tuple(builtin_token(name, value) for name, value in facts.items())


def example_sides(situation: Situation, path: Path) -> dict[str, Tokens]:
    """One whole action in its context, by namespace.

    `c` context, `o` offer, `r` the request's facts of the offer, `n` channel, `w` send window.
    """
    offer, channel, window = situation.action(path)
    return {
        "c": context_tokens(situation),
        "o": situation.catalog.offer_tokens[offer],
        "r": request_tokens(situation, offer),
        "n": situation.catalog.channel_tokens[channel],
        # Not to send has no time.
        "w": () if channel == NO_CHANNEL else _window(situation.grid, window),
    }


def example_text(situation: Situation, path: Path) -> str:
    """The same as Vowpal Wabbit reads it."""
    return sides_text(example_sides(situation, path))


def sides_text(sides: Mapping[str, Tokens]) -> str:
    """The sides of an example as Vowpal Wabbit reads them."""
    return " ".join(f"|{name} {token_text(tokens)}" for name, tokens in sides.items() if tokens)


def text_sides(text: str) -> dict[str, Tokens]:
    """The sides of an example by its text: what `sides_text` was made of."""
    sides = (part.split() for part in text.split("|")[1:])
    return {name: tuple(map(_text_token, tokens)) for name, *tokens in sides}


def _text_token(text: str) -> Token:
    # A token has no colon of its own: `policy.features` has encoded it.
    name, _, value = text.partition(":")
    return name, float(value or 1.0)


def _window(grid: Grid, window: int) -> Tokens:
    return window_tokens(grid.local_minutes[window], _days_ahead(grid, window))


def _days_ahead(grid: Grid, window: int) -> int:
    # The first window is running: it begins before the earliest moment, or at it.
    return max(grid.start_ms + window * grid.step_ms - grid.earliest_ms, 0) // DAY_MS
