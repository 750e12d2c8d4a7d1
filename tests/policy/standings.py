"""What became of a subject, for tests: plain values, random ones, and budgets in part spent."""

from dataclasses import dataclass

from hypothesis import strategies as st

from policy.catalog import Catalog
from policy.standing import Spent
from tests.policy.situations import CHANNELS, DAY_MS, OFFERS, REWARDS


@dataclass(frozen=True, slots=True)
class Contact:
    """A message that counts."""

    offer: str
    channel: str
    send_time_ms: int
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """What a subject did."""

    name: str
    offer: str
    channel: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Of one subject, each ascending by time."""

    contacts: tuple[Contact, ...] = ()
    responses: tuple[Response, ...] = ()


def standing_of(*events: Contact | Response) -> Standing:
    """A standing in order of time."""
    contacts = (one for one in events if isinstance(one, Contact))
    responses = (one for one in events if isinstance(one, Response))
    return Standing(
        tuple(sorted(contacts, key=lambda one: one.send_time_ms)),
        tuple(sorted(responses, key=lambda one: one.occurred_at_ms)),
    )


def standings(now_ms: int) -> st.SearchStrategy[Standing]:
    """What may have happened within some days, and what is scheduled for the next ones."""
    # Whole hours now and then, so that edges of rules meet edges of windows.
    hours = st.integers(-72, 48).map(lambda hour: now_ms - now_ms % 900_000 + hour * 3_600_000)
    times_ms = hours | st.integers(now_ms - 4 * DAY_MS, now_ms + 2 * DAY_MS)
    offers, channels = st.sampled_from(OFFERS), st.sampled_from(CHANNELS)
    contacts = st.builds(Contact, offers, channels, times_ms, st.booleans())
    names = st.sampled_from([*REWARDS, "other"])
    responses = st.builds(Response, names, offers, channels, times_ms)
    return st.lists(contacts | responses, max_size=8).map(lambda events: standing_of(*events))


@st.composite
def spendings(draw: st.DrawFn, catalog: Catalog, now_ms: int) -> Spent:
    """Budgets of the days around a moment, most of them nearly spent."""
    held = {"offer": list(catalog.offers), "channel": list(catalog.channels)}
    today = now_ms // DAY_MS + 719_163  # the ordinal of 1970-01-01
    found = {}
    for kind, names in held.items():
        for name in names:
            for day in range(today - 1, today + 4):
                if draw(st.booleans()):
                    found[kind, name, day] = draw(hour_slots())
    return found


@st.composite
def hour_slots(draw: st.DrawFn) -> tuple[int, ...]:
    """Messages of a day by its 25 hours; only a few of them have any."""
    slots = [0] * 25
    for slot in draw(st.lists(st.integers(0, 24), max_size=4)):
        slots[slot] += draw(st.integers(1, 3))
    return tuple(slots)
