"""Days of a time zone in Unix time; where clocks change they mostly have 23 or 25 hours."""

from datetime import date, datetime, time
from functools import lru_cache

from policy.send_times import zone


@lru_cache(maxsize=4096)
def day_start_ms(zone_name: str, day: int) -> int:
    """Unix time at which a day begins.

    Args:
        zone_name: an IANA time zone.
        day: number of the day, as `date.toordinal`.
    """
    # Where midnight comes twice the first counts. Where it never comes, the offset from before the
    # change makes this the moment of the change: the first of the new day.
    midnight = datetime.combine(date.fromordinal(day), time(), tzinfo=zone(zone_name))
    return int(midnight.timestamp()) * 1000


def day_of(zone_name: str, moment_ms: int) -> int:
    """Number of the day that a moment belongs to: the last one that began by then."""
    day = datetime.fromtimestamp(moment_ms // 1000, zone(zone_name)).toordinal()
    # In some zones clocks went back over midnight: a date came back after its next had begun.
    return day + (moment_ms >= day_start_ms(zone_name, day + 1))
