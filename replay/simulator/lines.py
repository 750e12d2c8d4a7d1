"""The lines in which the peers of the chain put a situation to Vowpal Wabbit.

Namespaces: `c` the context, `o` the offer, `n` the channel, `w` the send window. Actions are known
by their names alone; features of offers and channels are left out.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policy.features import escape, token_text
from policy.situation import Path, Situation, Tree, bits
from policy.tokens import context_tokens

TREES_KEPT = 64
NUMBER_MIN = 1e-20


class Label(NamedTuple):
    """What is told of a choice: `chosen` of the actions, with what probability, and what came."""

    chosen: int
    probability: float
    reward: float

    @property
    def text(self) -> str:
        """Cost and probability as VW reads them."""
        return f"{number_text(-self.reward)}:{number_text(self.probability)}"


def shared_line(situation: Situation) -> str:
    """The context of `joint_actions`, for `--cb_explore_adf`."""
    return f"shared {_context(situation)}"


@lru_cache(maxsize=TREES_KEPT)
def joint_actions(tree: Tree) -> tuple[str, ...]:
    """All actions of a tree as one set, in the order of `joint_paths`."""
    return tuple(text for _, text in _leaves(tree))


@lru_cache(maxsize=TREES_KEPT)
def joint_paths(tree: Tree) -> NDArray[np.intp]:
    """The paths of all actions of a tree, shape (actions, 3); not to be written to."""
    paths = np.asarray([path for path, _ in _leaves(tree)], dtype=np.intp)
    paths.flags.writeable = False
    return paths


def slates_lines(situation: Situation, labels: Iterable[Label] = ()) -> list[str]:
    """A slot for each stage, each with its own actions, for `--slates`; of one reward for all."""
    told = tuple(labels)
    cost = f"{number_text(-told[0].reward)} " if told else ""
    actions = [
        f"slates action {slot} {text}"
        for slot, texts in enumerate(_slot_actions(situation.tree))
        for text in texts
    ]
    slots = [f"slates slot {label.chosen}:{number_text(label.probability)} |" for label in told]
    return [
        f"slates shared {cost}{_context(situation)}",
        *actions,
        *(slots or ["slates slot |"] * len(slot_names(situation.tree))),
    ]


def ccb_lines(situation: Situation, labels: Iterable[Label] = ()) -> list[str]:
    """A slot for each stage, which lists those of all actions that fit, for `--ccb_explore_adf`."""
    texts = _slot_actions(situation.tree)
    ends = list(accumulate(map(len, texts), initial=0))
    told = [
        f"{start + label.chosen}:{label.text} " for start, label in zip(ends, labels, strict=False)
    ] or [""] * len(texts)
    slots = [
        f"ccb slot {label}{','.join(map(str, range(start, end)))} |s slot={slot}"
        for slot, (label, start, end) in enumerate(zip(told, ends, ends[1:], strict=False))
    ]
    actions = [f"ccb action {text}" for slot in texts for text in slot]
    return [f"ccb shared {_context(situation)}", *actions, *slots]


@lru_cache(maxsize=TREES_KEPT)
def slot_names(tree: Tree) -> tuple[tuple[str, ...], ...]:
    """The actions of each slot: all that are eligible at that stage, whatever was chosen before."""
    channels = [channel for offer in tree for channel in offer.channels]
    windows = {window for channel in channels for window in bits(channel.windows)}
    return (
        tuple(offer.offer for offer in tree),
        tuple(dict.fromkeys(channel.channel for channel in channels)),
        tuple(map(str, sorted(windows))),
    )


def _leaves(tree: Tree) -> Iterator[tuple[Path, str]]:
    for index, offer in enumerate(tree):
        for place, channel in enumerate(offer.channels):
            for position, window in enumerate(bits(channel.windows)):
                names = (offer.offer, channel.channel, str(window))
                yield (index, place, position), " ".join(map(_side, "onw", names))


@lru_cache(maxsize=TREES_KEPT)
def _slot_actions(tree: Tree) -> tuple[tuple[str, ...], ...]:
    return tuple(
        tuple(_side(space, name) for name in names)
        for space, names in zip("onw", slot_names(tree), strict=True)
    )


def _side(space: str, name: str) -> str:
    return f"|{space} {escape(name)}"


def _context(situation: Situation) -> str:
    return f"|c {token_text(context_tokens(situation))}"


def number_text(value: float) -> str:
    """A finite number as VW reads it; its parser takes some tiny ones (1.43e-212) for infinite."""
    return repr(float(value) if abs(value) >= NUMBER_MIN else 0.0)
