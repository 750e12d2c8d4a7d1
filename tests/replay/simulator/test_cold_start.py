"""A new offer is known through its features before anybody was sent it, and without them is not."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from policy.catalog import Catalog
from policy.situation import Situation
from replay.simulator import CampaignWorld, Learner, make_learner
from replay.simulator.campaign import NEW_OFFERS_DAY

WORLD = CampaignWorld(-1.5, 0, day_rounds=300)


def _bare() -> Catalog:
    """The catalog without features of offers: they are known by their names alone."""
    content = WORLD.catalog.model_dump(by_alias=True, exclude_defaults=True)
    for offer in content["offers"].values():
        del offer["features"]
    return Catalog.model_validate(content)


BARE = _bare()


def _told(situation: Situation, *, features: bool) -> Situation:
    """A situation as it is, or with the bare catalog."""
    return situation if features else replace(situation, catalog=BARE)


def _new_situations() -> Iterator[Situation]:
    """All contexts of the day on which the new offers come."""
    start_ms = WORLD.situations()[NEW_OFFERS_DAY * 120].grid.start_ms
    return (one for one in WORLD.situations() if one.grid.start_ms == start_ms)


def _learn_until_they_come(learner: Learner, *, features: bool) -> None:
    """Has it learn from random choices of all days before."""
    for each in WORLD.encounters(NEW_OFFERS_DAY * WORLD.day_rounds):
        path = (each.entropy % 6, each.entropy // 6 % 3, each.entropy // 18 % 6)
        outcome = WORLD.outcome(each, path)
        if outcome.delivered:
            learner.learn(_told(each.situation, features=features), path, outcome.reward)


def _preference(learner: Learner, *, features: bool) -> list[float]:
    """In each context, by how much the first new offer is valued above the second."""
    found = []
    for one in _new_situations():
        values = learner.values(_told(one, features=features), ())
        assert values is not None
        found.append(float(values[6] - values[7]))
    return found


@pytest.mark.parametrize("features", [True, False])
def test_a_new_offer_is_known_by_its_theme(*, features: bool) -> None:
    """With themes the chain foresees who would like which new offer; without, it cannot."""
    best = [np.nanmax(WORLD.truth(one), axis=(1, 2)) for one in _new_situations()]
    truth = [float(each[6] - each[7]) for each in best]
    with closing(make_learner("chain")) as learner:
        _learn_until_they_come(learner, features=features)
        found = _preference(learner, features=features)
    if features:
        assert np.corrcoef(found, truth)[0, 1] > 0.3
    else:
        assert not any(found)
