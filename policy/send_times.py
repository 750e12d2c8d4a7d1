"""Send windows in the subject's own zone, and which of them lie in quiet hours or days."""

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from policy.catalog import Channel, QuietHours, SendTimes
from policy.catalog_fields import TICK_MINUTES, WEEKDAYS
from policy.errors import RequestError
from policy.situation import Grid
from policy.zones import is_zone

MINUTE_MS = 60_000
DAY_MINUTES = 1440
TICK_MS = TICK_MINUTES * MINUTE_MS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_FOR_EVER_MS = 1 << 62


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The IANA time zone of that name.

    Raises:
        RequestError: UNKNOWN_TIME_ZONE.
    """
    if not is_zone(name):
        problem = f"{name[:64]!r} is not an IANA time zone"
        raise RequestError("UNKNOWN_TIME_ZONE", "time_zone", problem)
    return ZoneInfo(name)


def grid(send_times: SendTimes, zone_name: str, now_ms: int, earliest_ms: int | None) -> Grid:
    """The send windows of a decision; the first one is running at the earliest send time."""
    earliest_ms = max(now_ms, earliest_ms or 0)
    step_ms = send_times.step_minutes * MINUTE_MS
    start_ms = earliest_ms // step_ms * step_ms
    local_minutes = _local_minutes(zone_name, start_ms, step_ms, send_times.windows)
    return Grid(start_ms, step_ms, earliest_ms, local_minutes)


def window_mask(windows: Grid, latest_ms: int | None) -> int:
    """Windows that do not begin after the latest send time."""
    count = len(windows.local_minutes)
    return (1 << (count if latest_ms is None else windows.first_from(latest_ms + 1))) - 1


def validity_mask(windows: Grid, from_ms: int, until_ms: int) -> int:
    """Windows that lie, from the send time to their end, within [from_ms, until_ms)."""
    ended = (until_ms - windows.start_ms) // windows.step_ms
    count = min(max(ended, 0), len(windows.local_minutes))
    return windows.between(from_ms, windows.send_before_ms(count - 1)) if count else 0


def validity_ms(from_: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Validity dates as Unix time; where one is missing, so early or late that it never matters."""
    from_ms = -((_EPOCH - from_) // _MS) if from_ else 0
    return from_ms, (until - _EPOCH) // _MS if until else _FOR_EVER_MS


def awake_mask(channel: Channel, zone_name: str, windows: Grid) -> int:
    """Windows in which no moment from the send time to the end is quiet for the channel."""
    count = len(windows.local_minutes)
    if channel.quiet_hours is None and not channel.quiet_days:
        return (1 << count) - 1
    # What has passed of the running window does not matter: start at the current tick.
    start_ms = max(windows.start_ms, windows.earliest_ms // TICK_MS * TICK_MS)
    rule = (channel.quiet_hours, channel.quiet_days)
    return _awake(*rule, zone_name, windows.start_ms, windows.step_ms, count, start_ms)


@lru_cache(maxsize=4096)
def _awake(  # noqa: PLR0913, PLR0917 - the key of the cache
    hours: QuietHours | None,
    days: tuple[str, ...],
    zone_name: str,
    grid_ms: int,
    step_ms: int,
    count: int,
    start_ms: int,
) -> int:
    ticks = range(start_ms, grid_ms + count * step_ms, TICK_MS)
    minutes = _tick_minutes(zone_name, start_ms, len(ticks))
    quiet = {
        (tick - grid_ms) // step_ms
        for tick, minute in zip(ticks, minutes, strict=True)
        if is_quiet(hours, days, minute)
    }
    return sum(1 << window for window in range(count) if window not in quiet)


def is_quiet(hours: QuietHours | None, days: tuple[str, ...], local_minute: int) -> bool:
    """Whether a minute of the week is quiet."""
    day, minute = divmod(local_minute, DAY_MINUTES)
    if WEEKDAYS[day] in days:
        return True
    if hours is None:
        return False
    start, end = _minute(hours.start), _minute(hours.end)
    return start <= minute < end if start < end else minute >= start or minute < end


def _minute(clock: time) -> int:
    return DAY_MINUTES if clock == time.max else clock.hour * 60 + clock.minute


@lru_cache(maxsize=4096)
def _local_minutes(zone_name: str, start_ms: int, step_ms: int, count: int) -> tuple[int, ...]:
    """Minutes of the week in a zone at the starts of windows."""
    return _minutes(zone_name, start_ms, step_ms, count)


# Only channels of one request share these. Few are kept: half a year of them takes half a MiB.
@lru_cache(maxsize=64)
def _tick_minutes(zone_name: str, start_ms: int, count: int) -> tuple[int, ...]:
    """Minutes of the week in a zone at every quarter of an hour."""
    return _minutes(zone_name, start_ms, TICK_MS, count)


def _minutes(zone_name: str, start_ms: int, step_ms: int, count: int) -> tuple[int, ...]:
    """Minutes of the week in a zone at `count` moments."""
    place = zone(zone_name)
    return tuple(_minute_of_week(start_ms + k * step_ms, place) for k in range(count))


def _minute_of_week(moment_ms: int, place: ZoneInfo) -> int:
    local = datetime.fromtimestamp(moment_ms // 1000, place)
    return local.weekday() * DAY_MINUTES + local.hour * 60 + local.minute
