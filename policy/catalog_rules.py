"""The catalog's contact rules: caps, gaps, budgets, exclusion groups, cool-downs, history."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from policy.catalog_fields import Days, Hours, Label, Labels, Name, Names, Table
from policy.places import Location

CAPS_MAX = 64
COOL_DOWNS_MAX = 64
GROUPS_MAX = 256
# The log keeps 1,024 contacts of a subject: a cap must not count further than that.
CAP_MESSAGES_MAX = 1_000
PER_DAY_MAX = 1_000_000_000
DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def _at_least_two(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) < 2:  # noqa: PLR2004 - an offer alone excludes nothing
        raise ValueError("must name at least two; one alone excludes nothing")
    return names


class Contacts(Table):
    """What holds for all messages to a subject, whatever they offer."""

    minimum_gap_hours: Hours | None = None
    """Time between two messages of one subject, on whatever channel."""
    confirm_within_hours: Hours | None = None
    """A message that no delivery report confirmed so long after its send time counts no more."""


class Cap(Table):
    """At most so many messages to a subject in any stretch of so many days or hours."""

    messages: int = Field(ge=1, le=CAP_MESSAGES_MAX)
    days: Days | None = None
    hours: Hours | None = None
    channel: Name | None = None
    """Only messages on this channel count and are held back; all if not set."""
    offer: Name | None = None
    """Only messages with this offer count and are held back; all if not set."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.days is None) == (self.hours is None):
            raise ValueError("needs days or hours, one of the two")
        return self

    @property
    def length_ms(self) -> int:
        """Length of the stretch."""
        return hours_ms(self.hours) if self.hours is not None else days_ms(self.days or 0.0)


class Budget(Table):
    """At most so many messages to all subjects together on a day in the catalog's zone."""

    per_day: int = Field(ge=1, le=PER_DAY_MAX)
    pacing: Literal["even", "none"] = "none"
    """Whether the day's messages are spread over its hours."""


class ExclusionGroup(Table):
    """Offers of which a subject gets only one within so many days."""

    offers: Annotated[Names, AfterValidator(_at_least_two)]
    days: Days


class CoolDown(Table):
    """A pause after something that a subject did."""

    after: Label
    """Name of the reward that starts it."""
    days: Days
    offers: Names = ()
    """What is held back; every offer if none is named."""
    channels: Names = ()
    """Where it is held back; on every channel if none is named."""
    same_offer: bool = False
    """Whether only the offer is held back to which the subject responded."""
    same_channel: bool = False
    """Whether only the channel is held back on which the subject responded."""


class History(Table):
    """Switches features of a subject's history on, and says which rewards they count."""

    opens: Labels = ()
    clicks: Labels = ()
    conversions: Labels = ()


def days_ms(days: float) -> int:
    """Days of 24 hours in milliseconds."""
    return round(days * DAY_MS)


def hours_ms(hours: float) -> int:
    """Hours in milliseconds."""
    return round(hours * HOUR_MS)


def dangling_rules(
    caps: Iterable[Cap],
    groups: Mapping[str, ExclusionGroup],
    cool_downs: Iterable[CoolDown],
    offers: Mapping[str, tuple[str, ...]],
    channels: Collection[str],
) -> list[tuple[Location, str]]:
    """References of the rules to what the catalog does not have, each with its place.

    Args:
        caps: all caps.
        groups: the exclusion groups by name.
        cool_downs: all cool-downs.
        offers: the channels of each offer.
        channels: names of the channels.
    """
    found: list[tuple[Location, str]] = []
    for index, cap in enumerate(caps):
        found += _dangling_cap(("caps", index), cap, offers, channels)
    for name, group in groups.items():
        found += _unknown(("exclusion_groups", name, "offers"), group.offers, offers, "offers")
    for index, rule in enumerate(cool_downs):
        place = ("cool_downs", index)
        found += _unknown((*place, "offers"), rule.offers, offers, "offers")
        found += _unknown((*place, "channels"), rule.channels, channels, "channels")
    return found


def _dangling_cap(
    place: Location, cap: Cap, offers: Mapping[str, tuple[str, ...]], channels: Collection[str]
) -> Iterator[tuple[Location, str]]:
    if cap.offer is not None and cap.offer not in offers:
        yield (*place, "offer"), f"{cap.offer!r} is not among [offers]"
    elif cap.channel is not None and cap.channel not in channels:
        yield (*place, "channel"), f"{cap.channel!r} is not among [channels]"
    elif cap.offer and cap.channel and cap.channel not in offers[cap.offer]:
        yield (*place, "channel"), f"{cap.channel!r} is not a channel of {cap.offer!r}"


def _unknown(
    place: Location, names: tuple[str, ...], known: Collection[str], table: str
) -> Iterator[tuple[Location, str]]:
    for index, name in enumerate(names):
        if name not in known:
            yield (*place, index), f"{name!r} is not among [{table}]"
