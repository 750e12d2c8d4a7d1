"""Exclusion groups: the others of a group are out, the one that was sent is not."""

from policy.catalog import parse_catalog
from policy.exclusion import exclusion_bars
from tests.policy.catalogs import minimal, toml
from tests.policy.standings import Contact

DAY_MS = 86_400_000
GROUP = {"season": {"offers": ["a", "b", "c"], "days": 2}}


def forbidden(sent: str, offer: str, moment_ms: int) -> bool:
    """Whether an offer is out after another was sent at 10 days."""
    offers = {name: {"channels": ["email"]} for name in "abcd"}
    catalog = parse_catalog(toml(minimal(offers=offers, exclusion_groups=GROUP)))
    contacts = [Contact(sent, "email", 10 * DAY_MS)]
    return any(bar.forbids(offer, "email", moment_ms) for bar in exclusion_bars(catalog, contacts))


def test_the_others_of_the_group_are_out() -> None:
    """After one of them was sent, each other is out; offers outside of the group are not."""
    now_ms = 11 * DAY_MS
    assert [forbidden("a", offer, now_ms) for offer in "abcd"] == [False, True, True, False]
    assert not any(forbidden("d", offer, now_ms) for offer in "abcd")


def test_the_time_counts_to_both_sides_to_the_millisecond() -> None:
    """Exactly the group's days before or after is far enough; a millisecond less is not."""
    first, last = 8 * DAY_MS, 12 * DAY_MS
    assert [forbidden("a", "b", ms) for ms in (first, first + 1, last - 1, last)] == [
        False,
        True,
        True,
        False,
    ]
