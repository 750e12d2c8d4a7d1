"""Send windows and quiet hours: exact in every zone, also where clocks change."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.catalog import Channel, QuietHours, SendTimes
from policy.catalog_fields import TICK_MINUTES, WEEKDAYS, Weekday
from policy.errors import RequestError
from policy.send_times import (
    TICK_MS,
    awake_mask,
    grid,
    is_quiet,
    validity_mask,
    validity_ms,
    window_mask,
    zone,
)
from policy.situation import Grid, bits
from policy.zones import is_zone
from tests.resources import held_bytes
from tests.shop import START_MS

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
YEAR_2010_MS = 1_262_304_000_000

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Africa/Casablanca",
    "Pacific/Apia",
]
# Near these moments the clocks of some zone above change, by an hour or by half of one.
CHANGES = [
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 3, 8, 7, tzinfo=UTC),
    datetime(2026, 11, 1, 6, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    datetime(2018, 11, 4, 3, tzinfo=UTC),
    datetime(2019, 2, 17, 2, tzinfo=UTC),
    datetime(2011, 12, 30, 10, tzinfo=UTC),
]
moments = st.one_of(
    st.integers(YEAR_2010_MS, YEAR_2010_MS + 25 * 365 * DAY_MS),
    st.builds(
        lambda change, offset_ms: int(change.timestamp()) * 1000 + offset_ms,
        st.sampled_from(CHANGES),
        st.integers(-DAY_MS, DAY_MS),
    ),
)
ticks = st.integers(0, 95).map(lambda tick: time(tick // 4, tick % 4 * 15))
quiet_hours = st.builds(
    lambda start, end: None if start == end else QuietHours(start=start, end=end),
    ticks,
    st.one_of(ticks, st.just(time.max)),
)
channels = st.builds(
    Channel,
    quiet_hours=st.one_of(st.none(), quiet_hours),
    quiet_days=st.lists(st.sampled_from(WEEKDAYS), max_size=3),
)
send_times = st.builds(
    SendTimes,
    step_minutes=st.sampled_from([15, 30, 45, 60, 90, 240, 1440]),
    windows=st.integers(1, 12),
)
zones = st.sampled_from(ZONES)


def at(text: str, zone_name: str = "UTC", fold: int = 0) -> int:
    """Unix milliseconds of a local time."""
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone_name), fold=fold)
    return int(local.timestamp() * 1000)


def awake(
    zone_name: str, start: int, windows: int, quiet: tuple[time, time], step: int = 60
) -> tuple[int, ...]:
    """Windows that are not quiet."""
    found = grid(SendTimes(step_minutes=step, windows=windows), zone_name, start, None)
    channel = Channel(quiet_hours=QuietHours(start=quiet[0], end=quiet[1]))
    return bits(awake_mask(channel, zone_name, found))


def local_labels(zone_name: str, start: int, windows: int, step: int = 60) -> list[str]:
    """The local times at which windows start."""
    found = grid(SendTimes(step_minutes=step, windows=windows), zone_name, start, None)
    return [
        f"{WEEKDAYS[minute // 1440][:3]} {minute % 1440 // 60:02}:{minute % 60:02}"
        for minute in found.local_minutes
    ]


def slow_quiet(channel: Channel, local: datetime) -> bool:
    """Whether a local time is quiet, from the catalog's words alone."""
    if WEEKDAYS[local.weekday()] in channel.quiet_days:
        return True
    hours = channel.quiet_hours
    if hours is None:
        return False
    clock = local.time().replace(tzinfo=None)
    end_of_day = hours.end == time.max
    if hours.start < hours.end:
        return hours.start <= clock and (end_of_day or clock < hours.end)
    return clock >= hours.start or clock < hours.end


def slow_awake(channel: Channel, zone_name: str, windows: Grid) -> tuple[int, ...]:
    """Windows without a quiet minute, looked at minute by minute."""
    found = []
    for window in range(len(windows.local_minutes)):
        start = windows.send_time_ms(window) // MINUTE_MS * MINUTE_MS
        minutes = range(start, windows.send_before_ms(window), MINUTE_MS)
        moments_utc = (datetime.fromtimestamp(ms / 1000, UTC) for ms in minutes)
        if not any(slow_quiet(channel, t.astimezone(ZoneInfo(zone_name))) for t in moments_utc):
            found.append(window)
    return tuple(found)


@given(send_times, zones, moments, st.integers(-2 * DAY_MS, 2 * DAY_MS))
def test_the_first_window_is_running_at_the_earliest_send_time(
    settings: SendTimes, zone_name: str, now_ms: int, ahead_ms: int
) -> None:
    """Windows start at multiples of the step, and the first one holds the earliest moment."""
    found = grid(settings, zone_name, now_ms, now_ms + ahead_ms)
    assert found.earliest_ms == max(now_ms, now_ms + ahead_ms)
    assert found.start_ms % (settings.step_minutes * MINUTE_MS) == 0
    assert found.start_ms <= found.earliest_ms < found.start_ms + found.step_ms
    assert found.send_time_ms(0) == found.earliest_ms
    assert len(found.local_minutes) == settings.windows


@given(send_times, zones, moments)
def test_local_minutes_are_those_of_a_clock_on_the_wall(
    settings: SendTimes, zone_name: str, now_ms: int
) -> None:
    """For each window: day and time that a clock in the zone shows when it starts."""
    found = grid(settings, zone_name, now_ms, None)
    for window, minute in enumerate(found.local_minutes):
        start_ms = found.start_ms + window * found.step_ms
        local = datetime.fromtimestamp(start_ms / 1000, UTC).astimezone(ZoneInfo(zone_name))
        assert minute == local.weekday() * 1440 + local.hour * 60 + local.minute


@given(send_times, channels, zones, moments)
def test_awake_windows_equal_a_minute_by_minute_reference(
    settings: SendTimes, channel: Channel, zone_name: str, now_ms: int
) -> None:
    """A window is out if any minute of it, from the send time on, is quiet in the zone."""
    found = grid(settings, zone_name, now_ms, None)
    assert bits(awake_mask(channel, zone_name, found)) == slow_awake(channel, zone_name, found)


def test_the_hour_that_never_happens() -> None:
    """On 29 March 2026 Berlin's clocks go from 01:59 to 03:00: no window is called 02:00."""
    start = at("2026-03-29T00:00", "Europe/Berlin")
    labels = local_labels("Europe/Berlin", start, 4)
    assert labels == ["sun 00:00", "sun 01:00", "sun 03:00", "sun 04:00"]


def test_quiet_hours_in_the_hour_that_never_happens_are_never() -> None:
    """Quiet from 02:00 to 03:00 keeps nothing back on the night that has no such hour."""
    start = at("2026-03-29T00:00", "Europe/Berlin")
    assert awake("Europe/Berlin", start, 4, (time(2), time(3))) == (0, 1, 2, 3)


def test_quiet_hours_that_end_in_the_hour_that_never_happens() -> None:
    """Quiet until 02:30 ends when the clocks jump to 03:00."""
    start = at("2026-03-29T00:00", "Europe/Berlin")
    assert awake("Europe/Berlin", start, 4, (time(22), time(2, 30))) == (2, 3)


def test_the_hour_that_happens_twice() -> None:
    """On 25 October 2026 Berlin has 02:00 twice: two windows, one hour apart."""
    start = at("2026-10-25T01:00", "Europe/Berlin")
    labels = local_labels("Europe/Berlin", start, 4)
    assert labels == ["sun 01:00", "sun 02:00", "sun 02:00", "sun 03:00"]


def test_quiet_hours_in_the_hour_that_happens_twice_are_both() -> None:
    """Quiet from 02:00 to 03:00 keeps both hours back, and nothing else."""
    start = at("2026-10-25T01:00", "Europe/Berlin")
    assert awake("Europe/Berlin", start, 4, (time(2), time(3))) == (0, 3)


def test_quiet_hours_that_begin_in_the_hour_that_happens_twice() -> None:
    """Quiet from 02:30 comes, goes when the clocks go back, and comes again."""
    start = at("2026-10-25T01:00", "Europe/Berlin")
    found = awake("Europe/Berlin", start, 8, (time(2, 30), time(3)), step=30)
    assert found == (0, 1, 2, 4, 6, 7)


def test_a_request_in_the_second_of_two_equal_hours() -> None:
    """At the second 02:20 the first window is the second hour, and runs until 03:00."""
    now = at("2026-10-25T02:20", "Europe/Berlin", fold=1)
    found = grid(SendTimes(step_minutes=60, windows=2), "Europe/Berlin", now, None)
    assert found.send_before_ms(0) == at("2026-10-25T03:00", "Europe/Berlin")
    assert found.send_before_ms(0) - now == 40 * MINUTE_MS


def test_half_an_hour_of_daylight_saving() -> None:
    """Lord Howe's clocks go from 02:00 to 02:30 in October and from 02:00 to 01:30 in April."""
    name = "Australia/Lord_Howe"
    spring = local_labels(name, at("2026-10-04T01:30", name), 3, step=30)
    autumn = local_labels(name, at("2026-04-05T01:00", name), 4, step=30)
    assert spring == ["sun 01:30", "sun 02:30", "sun 03:00"]
    assert autumn == ["sun 01:00", "sun 01:30", "sun 01:30", "sun 02:00"]


@pytest.mark.parametrize(
    ("name", "minute"), [("Asia/Kolkata", 30), ("Asia/Kathmandu", 45), ("Europe/Berlin", 0)]
)
def test_quiet_hours_are_exact_in_zones_with_odd_offsets(name: str, minute: int) -> None:
    """Windows start at full hours of UTC; one that runs into 21:00 local by a quarter is out."""
    start = at("2026-06-10T12:00")
    labels = local_labels(name, start, 12)
    assert {int(label[-2:]) for label in labels} == {minute}
    found = awake(name, start, 12, (time(21), time(7)))
    ends = [label for window, label in enumerate(labels) if window in found]
    assert all(f"wed {20 - bool(minute):02}:{minute:02}" >= label for label in ends)
    assert ends[-1] == f"wed {20 - bool(minute):02}:{minute:02}"


def test_a_year_without_daylight_saving_in_sao_paulo() -> None:
    """Brazil gave up daylight saving in 2019: in 2018 midnight of 4 November never happened."""
    name = "America/Sao_Paulo"
    then = local_labels(name, at("2018-11-03T23:00", name), 2)
    now = local_labels(name, at("2026-11-03T23:00", name), 2)
    assert then == ["sat 23:00", "sun 01:00"]
    assert now == ["tue 23:00", "wed 00:00"]


def test_quiet_hours_over_midnight() -> None:
    """From 21:00 to 07:00: 20:00 and 07:00 are fine, 21:00, 00:00 and 06:00 are not."""
    start = at("2026-06-10T19:00")
    assert awake("UTC", start, 13, (time(21), time(7))) == (0, 1, 12)


def test_quiet_hours_until_the_end_of_the_day() -> None:
    """24:00 is the midnight that ends the day."""
    start = at("2026-06-10T20:00")
    assert awake("UTC", start, 6, (time(21), time.max)) == (0, 4, 5)


def test_a_whole_quiet_day() -> None:
    """From 00:00 to 24:00 nothing is ever sent."""
    assert awake("UTC", at("2026-06-10T00:00"), 48, (time(0), time.max)) == ()


def test_quiet_days_are_the_subjects_own() -> None:
    """Sunday in Kiritimati begins when it is Saturday 10:00 in UTC."""
    channel = Channel(quiet_days=("sunday",))
    start = at("2026-06-06T08:00")
    found = grid(SendTimes(windows=4), "Pacific/Kiritimati", start, None)
    assert bits(awake_mask(channel, "Pacific/Kiritimati", found)) == (0, 1)


def test_what_has_passed_of_the_running_window_does_not_matter() -> None:
    """At 07:15 the window from 06:30 to 08:00 is open, though quiet hours ended at 07:00."""
    start = at("2026-06-10T07:15")
    assert awake("UTC", start, 1, (time(22), time(7)), step=90) == (0,)
    assert awake("UTC", start - 15 * MINUTE_MS - 1, 1, (time(22), time(7)), step=90) == ()


@given(quiet_hours, st.sets(st.sampled_from(WEEKDAYS)), st.integers(0, 7 * 1440 - 1))
def test_a_minute_of_the_week_is_quiet_as_the_catalog_says(
    hours: QuietHours | None, days: set[Weekday], minute: int
) -> None:
    """Every one of the week's 10,080 minutes agrees with the plain reading of the rule."""
    local = datetime(2026, 6, 1) + timedelta(minutes=minute)  # noqa: DTZ001 - a local Monday
    channel = Channel(quiet_hours=hours, quiet_days=tuple(days))
    assert is_quiet(hours, channel.quiet_days, minute) == slow_quiet(channel, local)


@given(send_times, moments, st.integers(-DAY_MS, 3 * DAY_MS), st.integers(0, DAY_MS))
def test_windows_lie_between_earliest_and_latest(
    settings: SendTimes, now_ms: int, until_ms: int, ahead_ms: int
) -> None:
    """A window counts if its send time is before its end and not after the latest send time."""
    found = grid(settings, "UTC", now_ms, now_ms + ahead_ms)
    latest_ms = now_ms + until_ms
    expected = tuple(
        window
        for window in range(settings.windows)
        if found.send_time_ms(window) <= latest_ms
        and found.send_time_ms(window) < found.send_before_ms(window)
    )
    assert bits(window_mask(found, latest_ms)) == expected
    assert bits(window_mask(found, None)) == tuple(range(settings.windows))


def moment(ms: int) -> datetime:
    """A moment, exactly."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


edges = st.tuples(st.integers(-3, 15), st.integers(-1, 1))


@given(send_times, moments, edges, edges)
def test_validity_is_exact_to_the_millisecond(
    settings: SendTimes, now_ms: int, first: tuple[int, int], last: tuple[int, int]
) -> None:
    """A window lies within [from, until) from its send time to its end, to the millisecond."""
    found = grid(settings, "UTC", now_ms, None)
    from_ms = found.earliest_ms + first[0] * found.step_ms + first[1]
    until_ms = found.start_ms + last[0] * found.step_ms + last[1]
    expected = tuple(
        window
        for window in range(settings.windows)
        if from_ms <= found.send_time_ms(window) and found.send_before_ms(window) <= until_ms
    )
    assert bits(validity_mask(found, *validity_ms(moment(from_ms), moment(until_ms)))) == expected
    everything = tuple(range(settings.windows))
    assert bits(validity_mask(found, *validity_ms(None, None))) == everything


def test_validity_may_be_open_at_either_end() -> None:
    """An offer without a beginning or without an end is valid as far as it goes."""
    found = grid(SendTimes(windows=4), "UTC", at("2026-06-10T00:00"), None)
    two = moment(at("2026-06-10T02:00"))
    assert bits(validity_mask(found, *validity_ms(two, None))) == (2, 3)
    assert bits(validity_mask(found, *validity_ms(None, two))) == (0, 1)


@pytest.mark.parametrize(
    "name", ["Europe/Atlantis", "", "localtime", "../etc/passwd", "utc\0", "x" * 10**6]
)
def test_a_zone_that_is_none_is_refused(name: str) -> None:
    """The error names the field, and a name of a megabyte does not make the message long."""
    with pytest.raises(RequestError) as caught:
        zone(name)
    assert (caught.value.reason, caught.value.field) == ("UNKNOWN_TIME_ZONE", "time_zone")
    assert len(str(caught.value)) < 200


def test_every_zones_offset_is_a_multiple_of_the_tick() -> None:
    """Quiet hours are looked at every 15 minutes: no zone's clock stands between two looks."""
    for name in filter(is_zone, available_timezones()):
        for month in (1, 7):
            offset = datetime(2026, month, 15, tzinfo=ZoneInfo(name)).utcoffset()
            assert offset is not None
            assert offset % timedelta(minutes=TICK_MINUTES) == timedelta()


def test_what_is_kept_of_long_horizons_stays_small() -> None:
    """However many moments are asked for, all quarters of an hour from each are not kept."""
    channel = Channel(quiet_hours=QuietHours(start=time(21), end=time(8)))
    times = SendTimes(step_minutes=180, windows=168)

    def work() -> None:
        for tick in range(100):
            windows = grid(times, "Europe/Berlin", START_MS + tick * TICK_MS, None)
            awake_mask(channel, "Europe/Berlin", windows)

    assert held_bytes(work) < 6 * 2**20
