"""The Vowpal Wabbit examples of each stage: what is shared by its actions, and each action.

Namespaces: `c` the request's features, `o` the chosen offer, `h` the chosen channel,
`a` the action, `r` the request's features for one offer.
"""

from functools import lru_cache

from policy.features import builtin_token, feature_text
from policy.situation import Path, Situation, Stage

DAY_MINUTES = 1440
HOUR_MS = 3_600_000


def shared_text(situation: Situation, path: Path) -> str:
    """The context of a stage: the request's features and the choices made so far."""
    text = f"|c {feature_text(situation.features)}"
    if path:
        offer = situation.tree[path[0]]
        text += f" |o {_offer(situation, offer.offer)}"
    if len(path) == Stage.SEND_TIME:
        channel = offer.channels[path[1]].channel
        text += f" |h {situation.catalog.channel_tokens[channel]}"
    return text


def action_texts(situation: Situation, path: Path) -> list[str]:
    """The eligible actions of a stage, in the order of the tree."""
    if not path:
        return [f"|a {_offer(situation, node.offer)}" for node in situation.tree]
    if len(path) == Stage.CHANNEL:
        tokens = situation.catalog.channel_tokens
        return [f"|a {tokens[node.channel]}" for node in situation.tree[path[0]].channels]
    return [_window(situation, window) for window in situation.windows(path)]


def _offer(situation: Situation, name: str) -> str:
    tokens = situation.catalog.offer_tokens[name]
    if features := situation.offer_features.get(name):
        return f"{tokens} |r {feature_text(features)}"
    return tokens


def _window(situation: Situation, window: int) -> str:
    grid = situation.grid
    ahead_ms = grid.start_ms + window * grid.step_ms - grid.earliest_ms
    return _window_text(grid.local_minutes[window], max(ahead_ms, 0) // (24 * HOUR_MS))


@lru_cache(maxsize=16_384)
def _window_text(local_minute: int, days_ahead: int) -> str:
    day, minute = divmod(local_minute, DAY_MINUTES)
    facts = {"minute": minute, "day": day, "ahead": days_ahead}
    return "|a " + " ".join(builtin_token(name, value) for name, value in facts.items())
