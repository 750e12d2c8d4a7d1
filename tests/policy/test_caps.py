"""Caps and gaps: exact to the millisecond, for what lies behind and what is scheduled ahead."""

from hypothesis import given
from hypothesis import strategies as st

from policy.caps import Limit, cap_bars
from policy.catalog import parse_catalog
from policy.reasons import Reason
from tests.policy.catalogs import minimal, toml
from tests.policy.standings import Contact

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def forbidden(limit: Limit, times_ms: list[int], moments_ms: range) -> list[int]:
    """The moments at which one more message would be one too many."""
    contacts = [Contact("a", "email", moment) for moment in sorted(times_ms)]
    bars = list(limit.bars(contacts))
    return [ms for ms in moments_ms if any(bar.forbids("a", "email", ms) for bar in bars)]


@given(
    st.lists(st.integers(20, 60), max_size=6),
    st.integers(1, 4),
    st.integers(1, 20),
)
def test_a_moment_is_barred_if_some_stretch_would_hold_one_too_many(
    times_ms: list[int], messages: int, length_ms: int
) -> None:
    """Every stretch that holds its start and not its end is counted, message by message."""

    def over(moment_ms: int) -> bool:
        starts = range(moment_ms - length_ms + 1, moment_ms + 1)
        return any(
            sum(start <= one < start + length_ms for one in [*times_ms, moment_ms]) > messages
            for start in starts
        )

    moments_ms = range(90)
    expected = [moment for moment in moments_ms if over(moment)]
    assert (
        forbidden(Limit(Reason.CAP_REACHED, messages, length_ms), times_ms, moments_ms) == expected
    )


def test_a_cap_counts_what_is_scheduled() -> None:
    """Three messages in a week: with two behind and one ahead, nothing fits in between."""
    limit = Limit(Reason.CAP_REACHED, 3, 7 * DAY_MS)
    days = forbidden(limit, [10 * DAY_MS, 12 * DAY_MS, 15 * DAY_MS], range(0, 30 * DAY_MS, DAY_MS))
    assert [ms // DAY_MS for ms in days] == [9, 10, 11, 12, 13, 14, 15, 16]


def test_a_gap_holds_to_both_sides() -> None:
    """Less than the gap before or after a message is too close; exactly the gap is not."""
    limit = Limit(Reason.MINIMUM_GAP, 1, 5)
    assert forbidden(limit, [20], range(40)) == list(range(16, 25))


def test_rules_count_and_hold_back_what_they_name() -> None:
    """A cap of an offer on a channel leaves other offers and other channels alone."""
    tables = minimal(
        channels={"email": {"minimum_gap_hours": 2}, "push": {}},
        offers={"a": {"channels": ["email", "push"]}, "b": {"channels": ["email"]}},
        caps=[
            {"messages": 1, "hours": 5, "offer": "a", "channel": "push"},
            {"messages": 2, "days": 1},
        ],
        contacts={"minimum_gap_hours": 1},
    )
    contacts = [Contact("a", "push", 0), Contact("b", "email", 10 * HOUR_MS)]
    found = [
        (bar.reason, bar.start_ms, bar.end_ms, bar.offers, bar.channels)
        for bar in cap_bars(parse_catalog(toml(tables)), contacts)
    ]
    email, push = frozenset(["email"]), frozenset(["push"])
    gap, far = Reason.MINIMUM_GAP, 10 * HOUR_MS
    assert found == [
        (Reason.CAP_REACHED, 1 - 5 * HOUR_MS, 5 * HOUR_MS, frozenset(["a"]), push),
        (Reason.CAP_REACHED, far - DAY_MS + 1, DAY_MS, None, None),
        (gap, 1 - HOUR_MS, HOUR_MS, None, None),
        (gap, far - HOUR_MS + 1, far + HOUR_MS, None, None),
        (gap, far - 2 * HOUR_MS + 1, far + 2 * HOUR_MS, None, email),
    ]
