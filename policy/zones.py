"""Time zones: which names there are."""

from functools import lru_cache
from zoneinfo import available_timezones

# Files that lie beside the zones: one means whatever the machine is set to, the other no place.
_NO_ZONES = {"localtime", "Factory"}


def is_zone(name: str) -> bool:
    """Whether a name is a zone of the IANA data base, such as `Europe/Berlin`."""
    return name in _zones()


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    # They take a while to list, and do not change while a process runs.
    return frozenset(available_timezones() - _NO_ZONES)
