"""Rows of numbers for models that need them: context, offer, channel and time of each action."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from policy.catalog import NO_CHANNEL, NO_SEND
from policy.features import FeatureValue
from policy.situation import Path, Situation
from replay.reward_models.leaves import leaves
from replay.sums import Floats

OFFER, CHANNEL, DAY = "offer", "channel", "day"
HOUR, AHEAD = "hour", "hours ahead"
CONTEXT, OF_OFFER, ASKED = "context ", "offer's ", "affinity "
CATEGORIES_MAX = 1000
"""Of one feature; rarer ones than that many are one."""
HOUR_MS = 3_600_000

Facts = dict[str, FeatureValue]


def facts_of(situation: Situation, path: Path) -> Facts:
    """All that is known of an action in its context, by column."""
    offer, channel, window = situation.action(path)
    return {
        **_context(situation),
        **_offer(situation, offer),
        CHANNEL: channel,
        **({} if channel == NO_CHANNEL else _time(situation, window)),
    }


@dataclass(slots=True)
class Encoder:
    """Columns learned from rows: numbers as they are, categories by a code for each."""

    columns: dict[str, int] = field(default_factory=dict)
    codes: dict[str, dict[str, int]] = field(default_factory=dict)
    """Of the columns that hold categories."""

    def fit(self, rows: Iterable[Facts]) -> None:
        """Learns the columns; one that ever holds text holds categories."""
        for facts in rows:
            for name, value in facts.items():
                self.columns.setdefault(name, len(self.columns))
                if isinstance(value, str | bool):
                    known = self.codes.setdefault(name, {})
                    if len(known) < CATEGORIES_MAX:
                        known.setdefault(str(value), len(known))

    @property
    def categories(self) -> list[int]:
        """Places of the columns that hold categories."""
        return [self.columns[name] for name in self.codes]

    @property
    def context_categories(self) -> list[int]:
        """Those of them that tell of the context."""
        return [self.columns[name] for name in self.codes if name.startswith(CONTEXT)]

    def encode(self, rows: Sequence[Facts]) -> Floats:
        """Rows as numbers, shape (rows, columns); NaN for what is not known."""
        encoded = np.full((len(rows), len(self.columns)), np.nan)
        for place, facts in enumerate(rows):
            self._write(encoded[place], facts)
        return encoded

    def encode_all(self, situation: Situation) -> Floats:
        """Every whole action of a situation, in the order of `leaves`."""
        places = leaves(situation.tree)
        encoded = np.full((len(places), len(self.columns)), np.nan)
        self._write(encoded.T, _context(situation))
        for offer, node in enumerate(situation.tree):
            mine = places[:, 0] == offer
            self._write_where(encoded, mine, _offer(situation, node.offer))
            for channel, below in enumerate(node.channels):
                rows = mine & (places[:, 1] == channel)
                self._write_where(encoded, rows, {CHANNEL: below.channel})
        timed = np.asarray(
            [situation.tree[o].channels[c].channel != NO_CHANNEL for o, c, _ in places]
        )
        for window in np.unique(places[:, 2]):
            rows = timed & (places[:, 2] == window)
            self._write_where(encoded, rows, _time(situation, int(window)))
        return encoded

    def _write(self, row: Floats, facts: Mapping[str, FeatureValue]) -> None:
        for name, value in facts.items():
            if name in self.columns:
                row[self.columns[name]] = self._number(name, value)

    def _write_where(self, encoded: Floats, rows: NDArray[np.bool_], facts: Facts) -> None:
        for name, value in facts.items():
            if name in self.columns:
                encoded[rows, self.columns[name]] = self._number(name, value)

    def _number(self, name: str, value: FeatureValue) -> float:
        codes = self.codes.get(name)
        if codes is None:
            return math.nan if isinstance(value, str) else float(value)
        return codes.get(str(value), math.nan)


def _context(situation: Situation) -> Facts:
    return {f"{CONTEXT}{name}": value for name, value in situation.features.items()}


def _offer(situation: Situation, offer: str) -> Facts:
    catalog = situation.catalog
    known = catalog.no_send if offer == NO_SEND else catalog.offers.get(offer)
    features = known.features if known is not None else {}
    asked = situation.offer_features.get(offer, {})
    return {
        OFFER: offer,
        **{f"{OF_OFFER}{name}": value for name, value in features.items()},
        **{f"{ASKED}{name}": value for name, value in asked.items()},
    }


def _time(situation: Situation, window: int) -> Facts:
    grid = situation.grid
    minute = grid.local_minutes[window]
    return {
        HOUR: minute // 60 % 24,
        DAY: f"{minute // 1440}",
        AHEAD: max(grid.send_time_ms(window) - grid.earliest_ms, 0) / HOUR_MS,
    }
