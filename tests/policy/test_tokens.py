"""Tokens: what is kept of them changes nothing."""

from hypothesis import given
from hypothesis import strategies as st

from policy.situation import Grid
from policy.tokens import DAY_MS, days_ahead

MINUTE_MS = 60_000


@given(
    st.integers(1, 96).map(lambda ticks: ticks * 15 * MINUTE_MS),
    st.integers(-2 * DAY_MS, 2 * DAY_MS),
    st.integers(1, 168),
)
def test_days_ahead_are_those_of_each_window(step_ms: int, lead_ms: int, count: int) -> None:
    """Whenever the first window began, each one lies as many whole days ahead as it should."""
    start_ms = 1_800_000_000_000
    grid = Grid(start_ms, step_ms, start_ms + lead_ms, (0,) * count)
    expected = [max(window * step_ms - lead_ms, 0) // DAY_MS for window in range(count)]
    assert list(days_ahead(grid)) == expected
