"""Contact rules in the catalog: every mistake has its place and line, lengths are exact."""

import pytest

from policy.catalog import parse_catalog
from policy.catalog_rules import CAP_MESSAGES_MAX
from policy.errors import CatalogError, Problem
from tests.policy.catalogs import MINIMAL

RULES = """\
schema = 1
name = "x"
[channels.email]
minimum_gap_hours = 12
budget = { per_day = 100, pacing = "even" }
[channels.push]
[offers.a]
channels = ["email"]
budget = { per_day = 5 }
[offers.b]
channels = ["email", "push"]
[contacts]
minimum_gap_hours = 0.5
confirm_within_hours = 48
[[caps]]
messages = 3
days = 7
[[caps]]
messages = 1
hours = 1.5
channel = "push"
offer = "b"
[exclusion_groups.season]
offers = ["a", "b"]
days = 2
[[cool_downs]]
after = "order"
days = 1
[[cool_downs]]
after = "unsubscribe"
days = 366
offers = ["a"]
channels = ["email"]
same_channel = true
[history]
opens = ["open"]
[reward.weights]
click = 1
"""


def problems_of(text: str) -> list[Problem]:
    """What is wrong with a catalog's text."""
    with pytest.raises(CatalogError) as caught:
        parse_catalog(text)
    return caught.value.problems


def test_rules_arrive_as_they_are_written() -> None:
    """Lengths, names and choices are those of the file."""
    catalog = parse_catalog(RULES)
    assert [(cap.messages, cap.length_ms, cap.channel, cap.offer) for cap in catalog.caps] == [
        (3, 7 * 86_400_000, None, None),
        (1, 5_400_000, "push", "b"),
    ]
    assert catalog.channels["email"].budget is not None
    assert catalog.channels["email"].budget.pacing == "even"
    assert catalog.offers["a"].budget is not None
    assert catalog.offers["a"].budget.pacing == "none"
    assert catalog.exclusion_groups["season"].offers == ("a", "b")
    assert [rule.same_channel for rule in catalog.cool_downs] == [False, True]


@pytest.mark.parametrize(
    ("old", "new", "place", "line", "text"),
    [
        ('offer = "b"', 'offer = "c"', "caps[1].offer", 22, "'c' is not among [offers]"),
        ('channel = "push"', 'channel = "fax"', "caps[1].channel", 21, "not among [channels]"),
        ('offer = "b"', 'offer = "a"', "caps[1].channel", 21, "'push' is not a channel of 'a'"),
        ("hours = 1.5", "hours = 0", "caps[1].hours", 20, "must be above 0"),
        ("hours = 1.5", "hours = 1\ndays = 1", "caps[1]", 18, "days or hours"),
        ("days = 7", "", "caps[0]", 15, "days or hours"),
        ("messages = 3", f"messages = {CAP_MESSAGES_MAX + 1}", "caps[0].messages", 16, "1,000"),
        ('["a", "b"]', '["a", "z"]', "exclusion_groups.season.offers[1]", 24, "'z' is not among"),
        ('["a", "b"]', '["a"]', "exclusion_groups.season.offers", 24, "at least two"),
        ('offers = ["a"]', 'offers = ["z"]', "cool_downs[1].offers[0]", 32, "not among [offers]"),
        (
            'channels = ["email"]\nsame',
            'channels = ["fax"]\nsame',
            "cool_downs[1].channels[0]",
            33,
            "not among [channels]",
        ),
        ("per_day = 100", "per_day = 0", "channels.email.budget.per_day", 5, "must be at least 1"),
        ("days = 366", "days = 367", "cool_downs[1].days", 31, "must be at most 366"),
        ('opens = ["open"]', 'opens = "open"', "history.opens", 36, "must be a list"),
    ],
)
def test_a_mistake_is_found_with_its_place_and_line(
    old: str, new: str, place: str, line: int, text: str
) -> None:
    """Also within lists of tables, where each table has its own lines."""
    assert old in RULES
    (problem,) = problems_of(RULES.replace(old, new, 1))
    assert (problem.place, problem.line) == (place, line)
    assert text in problem.text


def test_not_to_send_can_be_no_part_of_a_rule() -> None:
    """No send needs no contact: a rule that names it is a mistake."""
    text = RULES.replace('offers = ["a", "b"]', 'offers = ["a", "no_send"]') + "[no_send]\n"
    assert [problem.place for problem in problems_of(text)] == ["exclusion_groups.season.offers[1]"]


@pytest.mark.parametrize(
    "table",
    [
        "caps = []",
        "contacts = {}",
        "exclusion_groups = {}",
        "cool_downs = []",
    ],
)
def test_a_table_that_says_nothing_changes_no_version(table: str) -> None:
    """Catalogs that were written before there were such rules keep their versions."""
    assert parse_catalog(f"{table}\n{MINIMAL}").version == parse_catalog(MINIMAL).version


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("minimum_gap_hours = 12", "minimum_gap_hours = 13"),
        ("per_day = 100", "per_day = 101"),
        ('"even"', '"none"'),
        ("per_day = 5", "per_day = 6"),
        ("minimum_gap_hours = 0.5", ""),
        ("confirm_within_hours = 48", "confirm_within_hours = 49"),
        ("messages = 3", "messages = 4"),
        ("hours = 1.5", "hours = 1.25"),
        ("days = 2", "days = 3"),
        ("same_channel = true", "same_offer = true"),
        ('[history]\nopens = ["open"]', "[history]"),
        ('[history]\nopens = ["open"]', ""),
    ],
)
def test_every_rule_is_part_of_the_meaning(old: str, new: str) -> None:
    """Another number or word in any rule is another version."""
    assert old in RULES
    assert parse_catalog(RULES.replace(old, new, 1)).version != parse_catalog(RULES).version
