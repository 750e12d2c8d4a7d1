"""Cool-downs: what pauses after which response, where, and for how long."""

from typing import Any

import pytest

from policy.catalog import parse_catalog
from policy.cool_downs import cool_down_bars
from tests.policy.catalogs import minimal, toml
from tests.policy.standings import Response, standing_of

DAY_MS = 86_400_000
PAIRS = [("a", "email"), ("a", "push"), ("b", "email"), ("b", "push")]


def paused(rule: dict[str, Any], *responses: Response, at_ms: int = DAY_MS) -> list[str]:
    """The pairs of offer and channel that pause at a time."""
    tables = minimal(
        channels={"email": {}, "push": {}},
        offers={name: {"channels": ["email", "push"]} for name in "ab"},
        cool_downs=[{"after": "order", "days": 2, **rule}],
    )
    bars = list(cool_down_bars(parse_catalog(toml(tables)), standing_of(*responses)))
    return [
        f"{offer} {channel}"
        for offer, channel in PAIRS
        if any(bar.forbids(offer, channel, at_ms) for bar in bars)
    ]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, ["a email", "a push", "b email", "b push"]),
        ({"offers": ["b"]}, ["b email", "b push"]),
        ({"channels": ["push"]}, ["a push", "b push"]),
        ({"offers": ["a"], "channels": ["push"]}, ["a push"]),
        ({"same_channel": True}, ["a email", "b email"]),
        ({"same_offer": True}, ["a email", "a push"]),
        ({"same_offer": True, "same_channel": True}, ["a email"]),
        ({"same_channel": True, "offers": ["b"]}, ["b email"]),
        ({"same_channel": True, "channels": ["push"]}, []),
        ({"same_offer": True, "offers": ["b"]}, []),
    ],
)
def test_a_pause_concerns_what_the_rule_names(rule: dict[str, Any], expected: list[str]) -> None:
    """All, what is named, or what was responded to: an order of offer a in an e-mail."""
    assert paused(rule, Response("order", "a", "email", 0)) == expected


def test_only_its_own_reward_starts_it() -> None:
    """Another reward starts no pause."""
    assert paused({}, Response("visit", "a", "email", 0)) == []


def test_it_ends_to_the_millisecond() -> None:
    """The pause is over when its days have passed since the response."""
    response = Response("order", "a", "email", 0)
    assert paused({}, response, at_ms=2 * DAY_MS - 1)
    assert not paused({}, response, at_ms=2 * DAY_MS)


def test_a_response_of_tomorrow_counts_at_once() -> None:
    """A clock that is ahead must not open a gap in which an unsubscribed subject gets messages."""
    assert paused({}, Response("order", "a", "email", 3 * DAY_MS), at_ms=DAY_MS)
