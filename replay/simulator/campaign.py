"""The campaign world: what makes real campaigns harder than the reference world, all at once.

Subjects, offers, channels, windows and contexts are those of the reference world. In addition

- tastes drift, a step a day, from one set of tables to another one of equal size;
- the last two offers come half-way;
- some messages are never sent, more on some channels than on others;
- a click may be followed by an order, and any message by an unsubscription, which costs;
- what came of a message is known late;
- not to send is allowed, and worth 0.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from math import pi
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
    catalog,
    context_of,
    contexts,
    effects,
    every_context,
)
from replay.simulator.world import SEED_MAX, Encounter, FloatArray, Outcome, round_entropy

DAYS = 20
"""Days of the campaign; time stands still on the last of them."""
NEW_OFFERS_DAY = DAYS // 2
NEW_OFFERS = 2
UNDELIVERED = (0.02, 0.05, 0.10)
"""Share of the messages that are never sent, by channel."""
ORDER_PROBABILITY = 0.2
"""That an order follows a click."""
CLICK_REWARD, ORDER_REWARD, UNSUBSCRIBE_REWARD = 1.0, 3.0, -2.0
UNSUBSCRIBE_LOGIT = -4.0
DELAY_ROUNDS = 200
"""An attribution window, in rounds."""
DRIFT_SEED = 2000
"""Added to the world's seed, it seeds the tables that tastes drift to, then unsubscriptions."""
_DAY_MS = 86_400_000


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
        self.catalog = _catalog()
        generator = np.random.default_rng(DRIFT_SEED + seed)
        self._tables = effects(np.random.default_rng(seed)), effects(generator)
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
        context, luck = context_of(encounter.situation), encounter.entropy
        if uniform(luck, "delivery") < UNDELIVERED[path[1]]:
            return Outcome(0.0, delivered=False)
        reward = 0.0
        if uniform(luck, "click") < self._day_of(encounter.situation).clicks[*context, *path]:
            reward += CLICK_REWARD
            reward += ORDER_REWARD * (uniform(luck, "order") < ORDER_PROBABILITY)
        if uniform(luck, "unsubscribe") < self._unsubscribes[context.habit, path[1]]:
            reward += UNSUBSCRIBE_REWARD
        return Outcome(reward, delay_rounds=DELAY_ROUNDS)

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


def _catalog() -> Catalog:
    """That of the reference world, with no send, and two offers that are not valid yet."""
    content = catalog().model_dump(by_alias=True, exclude_defaults=True)
    content |= {"name": CampaignWorld.name, "no_send": {}}
    starts_at = datetime.fromtimestamp((NOW_MS + NEW_OFFERS_DAY * _DAY_MS) / 1000, UTC)
    for offer in list(content["offers"])[OFFERS - NEW_OFFERS :]:
        content["offers"][offer]["valid_from"] = starts_at
    weights = {"click": CLICK_REWARD, "order": ORDER_REWARD, "unsubscribe": UNSUBSCRIBE_REWARD}
    content["reward"] = {"weights": weights}
    return Catalog.model_validate(content)
