"""Budgets: charged by day and hour of the catalog's zone, paced exactly, also on odd days."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.budgets import budget_bars, budget_keys, charged
from policy.catalog import Catalog, parse_catalog
from policy.days import day_of, day_start_ms
from policy.send_times import grid
from policy.standing import NOTHING_SPENT
from tests.policy.catalogs import minimal, toml
from tests.policy.reference import first_moment
from tests.policy.situations import ZONES, moments_ms

HOUR_MS = 3_600_000
BERLIN = "Europe/Berlin"
# In Berlin: a plain day, the one with 23 hours and the one with 25.
PLAIN, SHORT, LONG = (
    date(2026, month, day).toordinal() for month, day in ((6, 10), (3, 29), (10, 25))
)


def shop(budget: dict[str, Any], zone_name: str = BERLIN, **send_times: object) -> Catalog:
    """A catalog whose offer a has a budget, and nothing else."""
    offers = {"a": {"channels": ["email"], "budget": budget}, "b": {"channels": ["email"]}}
    times = {"time_zone": zone_name, **send_times}
    return parse_catalog(toml(minimal(offers=offers, send_times=times)))


def sent_greedily(budget: dict[str, Any], day: int, hours: int) -> list[int]:
    """Messages by hour of a day on which as many are sent, each hour, as may be."""
    catalog, spent = shop(budget), [0] * 25
    start_ms = day_start_ms(BERLIN, day)
    for hour in range(hours):
        while not any(
            bar.forbids("a", "email", start_ms + hour * HOUR_MS)
            for bar in budget_bars(catalog, {("offer", "a", day): tuple(spent)})
        ):
            spent[hour] += 1
    return spent[:hours]


@pytest.mark.parametrize(("day", "hours"), [(PLAIN, 24), (SHORT, 23), (LONG, 25)])
@pytest.mark.parametrize("per_day", [1, 10, 24, 1000])
def test_even_pacing_spreads_a_day_over_its_hours(day: int, hours: int, per_day: int) -> None:
    """By the end of each hour its share of the day may be sent, rounded up; in all, all of it."""
    sent = sent_greedily({"per_day": per_day, "pacing": "even"}, day, hours)
    running = [sum(sent[: hour + 1]) for hour in range(hours)]
    assert running == [-(-per_day * (hour + 1) // hours) for hour in range(hours)]


def test_without_pacing_the_first_hour_may_take_all() -> None:
    """A budget without pacing is spent as fast as it may be."""
    assert sent_greedily({"per_day": 7}, PLAIN, 3) == [7, 0, 0]


@pytest.mark.parametrize("pacing", ["none", "even"])
def test_a_day_of_26_hours_has_one_budget(pacing: str) -> None:
    """In the station Troll clocks go back by two hours: the last slot holds all that remains."""
    zone_name, day = "Antarctica/Troll", LONG
    start_ms, end_ms = (day_start_ms(zone_name, number) for number in (day, day + 1))
    assert end_ms - start_ms == 26 * HOUR_MS
    catalog, spent = shop({"per_day": 5, "pacing": pacing}, zone_name), [0] * 25
    for hour in range(26):
        moment_ms = start_ms + hour * HOUR_MS
        for _ in range(1000):
            bars = list(budget_bars(catalog, {("offer", "a", day): tuple(spent)}))
            if any(bar.forbids("a", "email", moment_ms) for bar in bars):
                break
            ((_, _, _, slot),) = charged(catalog, "a", "email", moment_ms)
            spent[slot] += 1
    assert sum(spent) == 5
    assert [(bar.start_ms, bar.end_ms) for bar in bars] == [(start_ms, end_ms)]


def test_what_is_scheduled_late_leaves_room_before_only_if_later_hours_have_it() -> None:
    """Ten a day, all of them promised for the last hour: nothing more fits into any hour."""
    spent = {("offer", "a", PLAIN): (*[0] * 23, 10, 0)}
    bars = list(budget_bars(shop({"per_day": 10, "pacing": "even"}), spent))
    start_ms = day_start_ms(BERLIN, PLAIN)
    assert [(bar.start_ms, bar.end_ms) for bar in bars] == [(start_ms, start_ms + 24 * HOUR_MS)]


def test_a_full_hour_keeps_back_the_hours_before_it() -> None:
    """Of 24 a day six are promised by 06:00: the hours until then are full, later ones are not."""
    spent = {("offer", "a", PLAIN): (0, 0, 0, 0, 0, 6, *[0] * 19)}
    (bar,) = budget_bars(shop({"per_day": 24, "pacing": "even"}), spent)
    assert (bar.end_ms - bar.start_ms) / HOUR_MS == 6


def test_a_message_is_charged_where_anything_of_its_kind_has_a_budget() -> None:
    """Offer and channel each pay, on the day and in the hour of sending; `b` may replace `a`."""
    tables = minimal(
        channels={"email": {"budget": {"per_day": 5}}},
        offers={
            "a": {"channels": ["email"], "budget": {"per_day": 5}},
            "b": {"channels": ["email"]},
        },
        send_times={"time_zone": BERLIN},
    )
    catalog = parse_catalog(toml(tables))
    noon_ms = int(datetime(2026, 6, 10, 10, 30, tzinfo=UTC).timestamp()) * 1000
    assert charged(catalog, "a", "email", noon_ms) == [
        ("offer", "a", PLAIN, 12),
        ("channel", "email", PLAIN, 12),
    ]
    assert charged(catalog, "b", "email", noon_ms) == [
        ("offer", "b", PLAIN, 12),
        ("channel", "email", PLAIN, 12),
    ]
    del tables["channels"]["email"]["budget"]
    only_offers = parse_catalog(toml(tables))
    assert charged(only_offers, "b", "email", noon_ms) == [("offer", "b", PLAIN, 12)]
    assert charged(parse_catalog(toml(minimal())), "a", "email", noon_ms) == []


def test_the_hour_that_comes_twice_counts_twice() -> None:
    """On the day with 25 hours the last one is slot 24; slots count time that has passed."""
    last_ms = day_start_ms(BERLIN, LONG + 1) - 1
    assert charged(shop({"per_day": 1}), "a", "email", last_ms) == [("offer", "a", LONG, 24)]


def test_keys_are_the_days_of_the_windows() -> None:
    """What is read before choosing: every budget, on each day on which a window begins."""
    evening_ms = int(datetime(2026, 6, 10, 20, 30, tzinfo=UTC).timestamp()) * 1000
    catalog = shop({"per_day": 1}, windows=27)
    windows = grid(catalog.send_times, "Asia/Tokyo", evening_ms, None)
    assert budget_keys(catalog, windows) == tuple(
        ("offer", "a", PLAIN + ahead) for ahead in range(3)
    )
    assert budget_keys(parse_catalog(toml(minimal())), windows) == ()


def test_what_was_not_spent_or_has_no_budget_bars_nothing() -> None:
    """No messages, no bars; nor for an offer that has lost its budget or is gone."""
    catalog = shop({"per_day": 1})
    assert not list(budget_bars(catalog, NOTHING_SPENT))
    spent = {("offer", name, PLAIN): (9,) * 25 for name in ("b", "gone")}
    assert not list(budget_bars(catalog, spent))


@given(st.sampled_from([*ZONES, "Atlantic/Azores", "America/Havana", "Asia/Beirut"]), moments_ms)
def test_a_day_is_that_of_the_calendar(zone_name: str, moment_ms: int) -> None:
    """A moment belongs to its date in the zone, and lies between that day's start and end."""
    catalog = shop({"per_day": 1}, zone_name)
    day = day_of(zone_name, moment_ms)
    assert day_start_ms(zone_name, day) <= moment_ms < day_start_ms(zone_name, day + 1)
    zone = ZoneInfo(zone_name)
    assert date.fromordinal(day) == datetime.fromtimestamp(moment_ms // 1000, zone).date()
    begin = first_moment(date.fromordinal(day), zone)
    assert day_start_ms(zone_name, day) == begin.timestamp() * 1000
    (slot,) = charged(catalog, "a", "email", moment_ms)
    assert slot == ("offer", "a", day, (moment_ms - day_start_ms(zone_name, day)) // HOUR_MS)


@pytest.mark.parametrize(
    ("zone_name", "day"),
    [("America/Sao_Paulo", date(2018, 11, 4)), ("America/Havana", date(2026, 3, 8))],
)
def test_a_day_without_midnight_begins_when_the_clocks_change(zone_name: str, day: date) -> None:
    """Where clocks jump from 24:00 to 01:00 the day begins with its first moment, at 01:00."""
    local = datetime.fromtimestamp(
        day_start_ms(zone_name, day.toordinal()) / 1000, ZoneInfo(zone_name)
    )
    assert (local.date(), local.hour) == (day, 1)


def test_a_date_that_comes_back_belongs_to_the_day_that_has_begun() -> None:
    """In St John's of 2010 clocks went from 00:01 back to 23:01: the new day goes on."""
    zone_name, day = "America/St_Johns", date(2010, 11, 7).toordinal()
    start_ms = day_start_ms(zone_name, day)
    again_ms = start_ms + 30 * 60_000
    local = datetime.fromtimestamp(again_ms / 1000, ZoneInfo(zone_name))
    assert local.date().toordinal() == day - 1
    assert day_of(zone_name, again_ms) == day
    (slot,) = charged(shop({"per_day": 1}, zone_name), "a", "email", again_ms)
    assert slot == ("offer", "a", day, 0)
