"""Exclusion groups: the others of a group are out, the one that was sent is not."""

from policy.catalog import parse_catalog
from policy.exclusion import exclusion_bars
from tests.policy.catalogs import minimal, toml
from tests.policy.standings import Contact
from tests.resources import held_bytes

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


def test_what_is_kept_of_large_groups_stays_small() -> None:
    """However many offers of a group of 3,000 were sent, no set of all others is kept for each."""
    names = [f"o{number}" for number in range(3_000)]
    offers = {name: {"channels": ["email"]} for name in names}
    group = {"all": {"offers": names, "days": 2}}
    catalog = parse_catalog(toml(minimal(offers=offers, exclusion_groups=group)))

    def work() -> None:
        for name in names[:200]:
            list(exclusion_bars(catalog, [Contact(name, "email", 10 * DAY_MS)]))

    assert held_bytes(work) < 16 * 2**20
