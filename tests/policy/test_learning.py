"""How a chain learns: rewards reach the right stage, and stand for the best that can follow."""

from collections.abc import Iterator

import pytest

from policy.catalog import parse_catalog
from policy.eligibility import eligibility
from policy.exploration import Exploration
from policy.learning import learn, target, untrained
from policy.policies import Chain
from policy.request import Request
from policy.situation import Situation, Stage
from tests.policy.catalogs import minimal, toml


@pytest.fixture
def chain() -> Iterator[Chain]:
    """A chain that has seen nothing."""
    found = untrained(Exploration())
    yield found
    found.close()


@pytest.fixture
def situation() -> Situation:
    """Two offers, the first with two channels, three windows each."""
    tables = minimal(
        channels={"email": {}, "push": {}},
        offers={"a": {"channels": ["email", "push"]}, "b": {"channels": ["email"]}},
        send_times={"windows": 3},
    )
    return eligibility(Request(now_ms=0), parse_catalog(toml(tables))).situation


def teach(chain: Chain, stage: Stage, situation: Situation, rewards: dict[int, float]) -> None:
    """Teaches one stage, after the first choices, what each of its actions earns."""
    path = (0, 0, 0)[:stage]
    for _ in range(100):
        for chosen, reward in rewards.items():
            chain.learn(situation, path, chosen, reward)


def test_the_last_stage_learns_the_reward_itself(chain: Chain, situation: Situation) -> None:
    """Nothing follows the send time that could have been chosen better."""
    teach(chain, Stage.SEND_TIME, situation, {0: 1.0, 1: 5.0})
    assert target(chain, Stage.SEND_TIME, situation, (0, 0, 0), 2.5) == 2.5


def test_a_choice_followed_by_the_best_ones_learns_the_reward(
    chain: Chain, situation: Situation
) -> None:
    """Where channel and send time were the best ones known, the reward is the target."""
    teach(chain, Stage.SEND_TIME, situation, {0: 1.0, 1: 0.0, 2: 0.0})
    teach(chain, Stage.CHANNEL, situation, {0: 1.0, 1: 0.0})
    assert target(chain, Stage.OFFER, situation, (0, 0, 0), 2.5) == 2.5


def test_a_choice_followed_by_a_worse_one_learns_the_best_value(
    chain: Chain, situation: Situation
) -> None:
    """A bad send time is not held against the channel: the best one's value is its target."""
    teach(chain, Stage.SEND_TIME, situation, {0: 0.0, 1: 1.0, 2: 0.0})
    values = chain.values(situation, (0, 0))
    assert target(chain, Stage.CHANNEL, situation, (0, 0, 0), -9.0) == values.max()
    assert values.argmax() == 1


def test_only_the_named_stage_learns(chain: Chain, situation: Situation) -> None:
    """Updating one model leaves the others as they were."""
    for stage in Stage:
        others = [other for other in Stage if other is not stage]
        before = [list(chain.values(situation, (0, 0)[:other])) for other in others]
        for _ in range(5):
            learn(chain, stage, situation, (0, 0, 0), 1.0)
        assert [list(chain.values(situation, (0, 0)[:other])) for other in others] == before
        assert chain.values(situation, (0, 0)[:stage])[0] > 0.0


def test_where_nothing_was_chosen_nothing_is_learned(chain: Chain, situation: Situation) -> None:
    """A stage with one eligible action was no choice: its reward teaches that stage nothing."""
    for _ in range(10):
        learn(chain, Stage.CHANNEL, situation, (1, 0, 0), 1.0)
    assert list(chain.values(situation, (1,))) == [0.0]
