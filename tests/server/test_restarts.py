"""The rule by which workers that die are started again."""

from hypothesis import given
from hypothesis import strategies as st

from server.restarts import RestartRule, Restarts

RULE = RestartRule()
early = st.floats(0, RULE.early_seconds, exclude_max=True)
late = st.floats(RULE.early_seconds, 1e9)


@given(st.lists(early, min_size=RULE.early_deaths_max, max_size=RULE.early_deaths_max))
def test_so_many_early_deaths_in_a_row_end_it(lives: list[float]) -> None:
    """Only the last of them is answered with None."""
    restarts = Restarts(RULE)
    delays = [restarts.died(lived, was_ready=True) for lived in lives]
    assert delays[-1] is None
    assert None not in delays[:-1]


@given(st.lists(st.one_of(early, late)))
def test_a_long_life_is_forgiven_everything(lives: list[float]) -> None:
    """After one the worker starts at once, whatever came before."""
    restarts = Restarts(RULE)
    for lived in lives:
        restarts.died(lived, was_ready=True)
    assert restarts.died(RULE.early_seconds, was_ready=True) == 0.0
    assert restarts.died(0.0, was_ready=True) == RULE.first_delay_seconds


def test_each_early_death_doubles_the_delay() -> None:
    """Up to the longest delay."""
    rule = RestartRule(early_deaths_max=6, first_delay_seconds=0.5, delay_seconds_max=3.0)
    restarts = Restarts(rule)
    assert [restarts.died(0.0, was_ready=False) for _ in range(6)] == [
        0.5,
        1.0,
        2.0,
        3.0,
        3.0,
        None,
    ]


@given(st.lists(late, min_size=RULE.early_deaths_max, max_size=RULE.early_deaths_max))
def test_who_was_never_ready_died_early(lives: list[float]) -> None:
    """A worker that takes long to fail is given up like one that fails at once."""
    restarts = Restarts(RULE)
    assert [restarts.died(lived, was_ready=False) for lived in lives][-1] is None
