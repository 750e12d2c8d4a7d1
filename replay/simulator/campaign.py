"""The campaign world: what makes real campaigns harder than the reference world, all at once.

Subjects, offers, channels, windows and contexts are those of the reference world. In addition

- tastes drift, a step a day, from one set of tables to another one of equal size;
- offers have themes, which their features tell, and offers of one theme resemble each other;
- the last two offers come half-way: who has learned the themes knows something of them;
- some messages are never sent, more on some channels than on others;
- a click may be followed by an order, and any message by an unsubscription, which costs: three
  rewards, each late in its own way;
- not to send is allowed, and worth 0.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from math import fsum, pi, sqrt
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from policy.catalog import Catalog
from policy.draw import uniform
from policy.eligibility import eligibility, is_no_send
from policy.request import Request
from policy.situation import Path, Situation
from replay.simulator.errors import check_range
from replay.simulator.reference import (
    BASE_MAX,
    CHANNELS,
    HABITS,
    NOW_MS,
    OFFERS,
    Context,
    Table,
    catalog,
    combined,
    context_of,
    contexts,
    every_context,
    tables,
)
from replay.simulator.world import (
    SEED_MAX,
    Encounter,
    Event,
    FloatArray,
    Outcome,
    round_entropy,
)

DAYS = 20
"""Days of the campaign; time stands still on the last of them."""
NEW_OFFERS_DAY = DAYS // 2
NEW_OFFERS = 2
THEMES = 3
"""Offer k has the theme k mod this: each new offer has two older ones of its theme."""
RESEMBLANCE = 0.75
"""Correlation of the effects of two offers of one theme."""
UNDELIVERED = (0.02, 0.05, 0.10)
"""Share of the messages that are never sent, by channel."""
ORDER_PROBABILITY = 0.2
"""That an order follows a click."""
CLICK_REWARD, ORDER_REWARD, UNSUBSCRIBE_REWARD = 1.0, 3.0, -2.0
UNSUBSCRIBE_LOGIT = -4.0
DELAY_ROUNDS = 200
"""An attribution window, in rounds."""
CLICK_ROUNDS, ORDER_ROUNDS, UNSUBSCRIBE_ROUNDS = 20, 150, 100
"""Within so many rounds a click follows the message, an order the click, a farewell the message."""
DRIFT_SEED, THEME_SEED = 2000, 3000
"""Added to the world's seed, they seed the tables that tastes drift to and then unsubscriptions,
and what the themes have in common."""
_DAY_MS = 86_400_000
_OFFER_AXIS = 3


class _Day(NamedTuple):
    """What holds on one day."""

    situations: dict[Context, Situation]
    clicks: FloatArray
    """Probability of a click on what was sent, as `effects` lays it out."""


class CampaignWorld:
    """A world that changes, with late, several and negative rewards and undelivered messages."""

    name = "campaign"

    def __init__(self, base: float = -3.2, seed: int = 0, day_rounds: int = 1000) -> None:
        """Makes the world.

        Args:
            base: logit of a click where all effects are 0.
            seed: of the first tables and, as in the reference world, of contexts and luck.
            day_rounds: rounds of a day; the world changes at the first of them only.

        Raises:
            OutOfRangeError: if the base is beyond ±`BASE_MAX`, the seed beyond `SEED_MAX`, or a day
                has no round.
        """
        check_range("base", base, -BASE_MAX, BASE_MAX)
        check_range("seed", seed, 0, SEED_MAX)
        check_range("rounds of a day", day_rounds, 1, 10**9)
        self.base = base
        self.seed = seed
        self.day_rounds = day_rounds
        self.catalog = _catalog(day_rounds)
        generator = np.random.default_rng(DRIFT_SEED + seed)
        themes = np.random.default_rng(THEME_SEED + seed)
        self._tables = (
            _themed_effects(np.random.default_rng(seed), themes),
            _themed_effects(generator, themes),
        )
        irritation = generator.normal(0.0, 1.0, (HABITS, CHANNELS))
        self._unsubscribes: FloatArray = expit(UNSUBSCRIBE_LOGIT + irritation)
        self._days: dict[int, _Day] = {}

    def encounters(self, rounds: int) -> Iterator[Encounter]:
        """See `World`."""
        for turn, context in enumerate(contexts(self.seed, rounds)):
            day = self._day(min(turn // self.day_rounds, DAYS))
            situation = day.situations[context]
            yield Encounter(situation, self.truth(situation), round_entropy(self.seed, turn))

    def outcome(self, encounter: Encounter, path: Path) -> Outcome:
        """See `World`."""
        if is_no_send(encounter.situation.tree, path[0]):
            return Outcome(0.0, delay_rounds=DELAY_ROUNDS)
        if uniform(encounter.entropy, "delivery") < UNDELIVERED[path[1]]:
            return Outcome(0.0, delivered=False)
        events = tuple(self._events(encounter, path))
        weights = self.catalog.reward.weights
        reward = fsum(weights[event.name] * event.value for event in events)
        return Outcome(reward, delay_rounds=DELAY_ROUNDS, events=events)

    def _events(self, encounter: Encounter, path: Path) -> Iterator[Event]:
        """What a subject does with a message that was delivered."""
        context, luck = context_of(encounter.situation), encounter.entropy
        if uniform(luck, "click") < self._day_of(encounter.situation).clicks[*context, *path]:
            clicked = int(CLICK_ROUNDS * uniform(luck, "click delay"))
            yield Event("click", 1.0, clicked)
            if uniform(luck, "order") < ORDER_PROBABILITY:
                ordered = clicked + int(ORDER_ROUNDS * uniform(luck, "order delay"))
                yield Event("order", 1.0, ordered)
        if uniform(luck, "unsubscribe") < self._unsubscribes[context.habit, path[1]]:
            left = int(UNSUBSCRIBE_ROUNDS * uniform(luck, "farewell delay"))
            yield Event("unsubscribe", 1.0, left)

    def situations(self) -> tuple[Situation, ...]:
        """One for each day and context, all equally likely until time stands still."""
        return tuple(
            situation for day in range(DAYS) for situation in self._day(day).situations.values()
        )

    def truth(self, situation: Situation) -> FloatArray:
        """See `World`; the last row is not to send."""
        context = context_of(situation)
        clicks = self._day_of(situation).clicks[context][: len(situation.tree) - 1]
        costs = UNSUBSCRIBE_REWARD * self._unsubscribes[context.habit]
        sent = clicks * (CLICK_REWARD + ORDER_PROBABILITY * ORDER_REWARD) + costs[:, None]
        truth = np.full((len(situation.tree), *clicks.shape[1:]), np.nan)
        truth[:-1] = sent * (1.0 - np.asarray(UNDELIVERED)[:, None])
        truth[-1, 0, 0] = 0.0
        return truth

    def _day_of(self, situation: Situation) -> _Day:
        return self._day((situation.grid.start_ms - NOW_MS) // _DAY_MS)

    def _day(self, number: int) -> _Day:
        if number not in self._days:
            # A quarter of a turn keeps the size of the effects while the old ones go.
            angle = number / DAYS * pi / 2
            logits = np.cos(angle) * self._tables[0] + np.sin(angle) * self._tables[1]
            situations = {each: self._situation(number, each) for each in every_context()}
            self._days[number] = _Day(situations, expit(self.base + logits))
        return self._days[number]

    def _situation(self, day: int, context: Context) -> Situation:
        request = Request(NOW_MS + day * _DAY_MS, features=context.features)
        return eligibility(request, self.catalog).situation


def _themed_effects(own: np.random.Generator, themes: np.random.Generator) -> FloatArray:
    """Effects as in the reference world, where offers of one theme have a part in common."""
    return combined(map(_themed, tables(own), tables(themes)))


def _themed(own: Table, theme: Table) -> Table:
    """A table whose entries keep their size, and agree within themes as `RESEMBLANCE` says."""
    if _OFFER_AXIS not in own.axes:
        return own
    theme_of = np.arange(OFFERS) % THEMES
    common = theme.entries.take(theme_of, own.axes.index(_OFFER_AXIS))
    mixed = sqrt(RESEMBLANCE) * common + sqrt(1.0 - RESEMBLANCE) * own.entries
    return Table(own.axes, mixed)


def _catalog(day_rounds: int) -> Catalog:
    """That of the reference world, with themes, no send, and two offers that are not valid yet."""
    content = catalog().model_dump(by_alias=True, exclude_defaults=True)
    content |= {"name": CampaignWorld.name, "no_send": {}}
    starts_at = datetime.fromtimestamp((NOW_MS + NEW_OFFERS_DAY * _DAY_MS) / 1000, UTC)
    for index, offer in enumerate(content["offers"].values()):
        offer["features"] = {"theme": f"theme_{index % THEMES}"}
        if index >= OFFERS - NEW_OFFERS:
            offer["valid_from"] = starts_at
    weights = {"click": CLICK_REWARD, "order": ORDER_REWARD, "unsubscribe": UNSUBSCRIBE_REWARD}
    content["reward"] = {"weights": weights, "attribution_days": DELAY_ROUNDS / day_rounds}
    return Catalog.model_validate(content)
