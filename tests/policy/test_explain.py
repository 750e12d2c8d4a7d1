"""Explanations: the choice computed again, with everything that made it."""

from datetime import datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from policy.choice import choose, stage_pmf
from policy.draw import pick
from policy.explain import explain
from policy.exploration import Exploration
from policy.learning import Student
from policy.policies import Uniform
from policy.situation import Situation, Stage
from tests.policy.situations import situations

entropies = st.integers(0, 2**64 - 1)


@given(situations(), entropies)
def test_an_explanation_leads_to_the_choice(situation: Situation, entropy: int) -> None:
    """Whoever follows the shown draws through the shown probabilities arrives at the choice."""
    choice = choose(Uniform(), situation, entropy)
    stages = explain(Uniform(), situation, choice.path, entropy)
    assert [stage.stage for stage in stages] == list(Stage)
    for stage, chosen in zip(stages, choice.path, strict=True):
        pmf = np.array([action.probability for action in stage.actions])
        assert pick(pmf, stage.draw) == chosen


@given(situations(), entropies)
def test_an_explanation_names_every_eligible_action(situation: Situation, entropy: int) -> None:
    """Offers and channels by name, windows by when they send, in the order of the tree."""
    path = choose(Uniform(), situation, entropy).path
    offers, channels, windows = explain(Uniform(), situation, path, entropy)
    assert tuple(action.name for action in offers.actions) == situation.names(())
    assert tuple(action.name for action in channels.actions) == situation.names(path[:1])
    sent_ms = [
        round(datetime.fromisoformat(action.name).timestamp() * 1000) for action in windows.actions
    ]
    numbers = situation.windows(path[:2])
    assert sent_ms == [situation.grid.send_time_ms(window) for window in numbers]


def test_values_are_shown_where_there_are_some() -> None:
    """A chain shows what it expects of each action; a rule estimates nothing."""

    @given(situations())
    def check(situation: Situation) -> None:
        path = choose(chain, situation, 7).path
        for stage in explain(chain, situation, path, 7):
            values = chain.values(situation, path[: stage.stage])
            assert [action.value for action in stage.actions] == list(values)
            pmf = stage_pmf(chain, situation, path[: stage.stage])
            assert [action.probability for action in stage.actions] == list(pmf)
        shown = [
            action.value
            for stage in explain(Uniform(), situation, path, 7)
            for action in stage.actions
        ]
        assert set(shown) == {None}

    student = Student(Exploration())
    chain = student.chain
    check()
    student.close()
