"""The catalog: the marketer's file of offers, channels, send times, rules, rewards and shares."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from math import fsum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from policy.catalog_fields import (
    TICK_MINUTES,
    EndTime,
    FeatureTable,
    Hours,
    Label,
    Moment,
    Name,
    Names,
    NoOrLabels,
    Number,
    Share,
    StartTime,
    Table,
    TimeZone,
    Weekdays,
    whole,
)
from policy.catalog_rules import (
    CAPS_MAX,
    COOL_DOWNS_MAX,
    GROUPS_MAX,
    Budget,
    Cap,
    Contacts,
    CoolDown,
    ExclusionGroup,
    History,
    dangling_rules,
)
from policy.catalog_text import read_catalog, tables_of
from policy.crosses import DEFAULT_WORDS, CrossWords
from policy.errors import CatalogError, Problem
from policy.exploration import Exploration
from policy.features import (
    Features,
    Tokens,
    builtin_token,
    feature_tokens,
)
from policy.places import Location, dotted, line_of
from policy.plain_words import plain

NO_SEND = "no_send"
NO_CHANNEL = "none"
OFFERS_MAX = 10_000
CHANNELS_MAX = 64
WINDOWS_MAX = 168
PLACE_CHARS_MAX = 256
FORMER_DEFAULTS: Final[Mapping[str, Mapping[str, object]]] = {"exploration": {"floor": 0.01}}
"""Defaults that have changed since logs were written, by table and key: their former values."""


class QuietHours(Table):
    """Hours of the subject's day in which nothing starts or runs; may span midnight."""

    start: StartTime
    end: EndTime
    """May be 24:00, the end of the day."""

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.start == self.end:
            raise ValueError("start and end are equal; leave quiet_hours out if there are none")
        return self


class Channel(Table):
    """A way to reach a subject."""

    consent: Label | None = None
    """Consent that the subject must have given; none if not set."""
    quiet_hours: QuietHours | None = None
    quiet_days: Weekdays = ()
    minimum_gap_hours: Hours | None = None
    """Time between two messages of one subject on this channel."""
    budget: Budget | None = None
    features: FeatureTable = Field(default_factory=dict)


class Offer(Table):
    """Something to send."""

    channels: Names
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    """Exclusive."""
    budget: Budget | None = None
    features: FeatureTable = Field(default_factory=dict)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            raise ValueError("valid_from must be before valid_until")
        return self


class NoSend(Table):
    """Not sending, as an offer like any other; the policy may choose it if this table is there."""

    features: FeatureTable = Field(default_factory=dict)


class SendTimes(Table):
    """The send windows of a decision: `windows` of `step_minutes` each, the first one running."""

    step_minutes: int = Field(default=60, ge=TICK_MINUTES, le=1440, multiple_of=TICK_MINUTES)
    windows: int = Field(default=1, ge=1, le=WINDOWS_MAX)
    time_zone: TimeZone = "UTC"
    """Zone of subjects whose request names none."""


class Reward(Table):
    """What counts as success. Applied when a log is replayed, never when it is written."""

    weights: dict[Label, Number] = Field(min_length=1)
    """Worth of one unit of each reward, by name; rewards not named here do not count."""
    aggregation: Literal["sum", "first", "last", "max", "min"] = "sum"
    """How several rewards of one name for one decision become one value."""
    attribution_days: float = Field(default=14.0, gt=0.0, le=3650.0)
    """Rewards that happen later than this after the decision do not count."""
    default: Number = 0.0
    """The reward of a delivered decision without any."""


class Metrics(Table):
    """Names of rewards by what they tell, for metrics; the usual names where a list is empty."""

    click: NoOrLabels = ()
    conversion: NoOrLabels = ()
    revenue: NoOrLabels = ()
    """Its values are summed; of the others it counts whether one came."""
    unsubscribe: NoOrLabels = ()


class Model(Table):
    """What a model can learn; it matters when one is trained."""

    crosses: CrossWords = DEFAULT_WORDS
    """Which sides of an action are learned about together, such as `context*offer`."""


class Kept(Table):
    """Which features of requests are used and stored; what is not kept is dropped at once."""

    keep: NoOrLabels | None = None
    """Features of the request; None keeps all."""
    keep_of_offers: NoOrLabels | None = None
    """Features of single offers; None keeps all."""


class Traffic(Table):
    """Shares of the subjects that do not get the champion."""

    random: Share = 0.0
    holdout: Share = 0.0
    baseline: Share = 0.0

    @model_validator(mode="after")
    def _leave_a_champion(self) -> Self:
        if fsum((self.random, self.holdout, self.baseline)) > 1.0:
            raise ValueError("random, holdout and baseline together must not exceed 1")
        return self


class Baseline(Table):
    """The fixed rule that the baseline arm follows; whatever is not pinned is drawn evenly."""

    offer: Name
    channel: Name | None = None


class Catalog(Table):
    """A whole catalog."""

    schema_version: Annotated[Literal[1], BeforeValidator(whole)] = Field(alias="schema")
    name: Name
    channels: dict[Name, Channel] = Field(min_length=1, max_length=CHANNELS_MAX)
    offers: dict[Name, Offer] = Field(min_length=1, max_length=OFFERS_MAX)
    no_send: NoSend | None = None
    send_times: SendTimes = SendTimes()
    contacts: Contacts = Contacts()
    caps: Annotated[tuple[Cap, ...], Field(strict=False, max_length=CAPS_MAX)] = ()
    exclusion_groups: dict[Name, ExclusionGroup] = Field(
        default_factory=dict, max_length=GROUPS_MAX
    )
    cool_downs: Annotated[tuple[CoolDown, ...], Field(strict=False, max_length=COOL_DOWNS_MAX)] = ()
    features: Kept = Kept()
    history: History | None = None
    reward: Reward
    metrics: Metrics = Metrics()
    model: Model = Model()
    exploration: Exploration = Exploration()
    traffic: Traffic = Traffic()
    baseline: Baseline | None = None

    def __hash__(self) -> int:
        """By its version: what follows from a catalog is kept in caches by it.

        A look-up finds the same object without comparing; another one of the same version is
        compared in full, so a process had better not have many.
        """
        return hash(self.version)

    @cached_property
    def version(self) -> str:
        """Hash of the content: the same for the same meaning, however the file is laid out.

        The order of offers counts, since they are drawn in it; that of other tables does not.
        Defaults are left out, so that a setting that a later release adds renames no catalog; where
        a default itself has changed, `registered_as` knows the version from before.
        """
        return _version_of(self._content())

    def registered_as(self, version: str) -> Self | None:
        """The catalog under a version that it has, or had by former defaults; None for any other.

        So a log, whose records name the version, can be read when a default has changed.
        """
        if version == self.version:
            return self
        if version != _version_of(_by_former_defaults(self._content())):
            return None
        found = self.model_copy()
        vars(found)["version"] = version  # where the property would keep its own
        return found

    def _content(self) -> dict[str, Any]:
        """All that is not as by default, ready for JSON."""
        content = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        content["offers"] = list(content["offers"].items())
        return content

    @cached_property
    def offer_tokens(self) -> dict[str, Tokens]:
        """Name and features of every offer, no send included, as VW tokens."""
        offers: dict[str, Offer | NoSend] = {**self.offers}
        if self.no_send is not None:
            offers[NO_SEND] = self.no_send
        return {name: _tokens("offer", name, offer.features) for name, offer in offers.items()}

    @cached_property
    def channel_tokens(self) -> dict[str, Tokens]:
        """Name and features of every channel as VW tokens."""
        channels = self.channels.items()
        tokens = {name: _tokens("channel", name, channel.features) for name, channel in channels}
        return {**tokens, NO_CHANNEL: _tokens("channel", NO_CHANNEL, {})}


def _version_of(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return f"catalog-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _by_former_defaults(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content as it was while other values than today's were left out."""
    tables = {
        name: {key: value for key, value in content[name].items() if former.get(key) != value}
        for name, former in FORMER_DEFAULTS.items()
        if name in content
    }
    return {name: tables.get(name, value) for name, value in content.items() if tables.get(name, 1)}


def _tokens(kind: str, name: str, features: Features) -> Tokens:
    return builtin_token(kind, name), *feature_tokens(features)


def parse_catalog(text: str, source: str = "the catalog") -> Catalog:
    """Reads a catalog from TOML.

    Args:
        text: the file's content.
        source: what messages call it, such as its path.

    Raises:
        CatalogError: with everything that is wrong and where.
    """
    try:
        catalog = Catalog.model_validate(tables_of(text, source))
    except ValidationError as error:
        raise CatalogError(source, _problems(error, text)) from None
    if dangling := _dangling(catalog, text):
        raise CatalogError(source, dangling)
    return catalog


def load_catalog(path: Path) -> Catalog:
    """Reads a catalog file.

    Raises:
        CatalogError: with everything that is wrong and where, also if it cannot be read.
    """
    return parse_catalog(read_catalog(path), str(path))


def _problems(error: ValidationError, text: str) -> list[Problem]:
    """Pydantic's findings, each with its place and its line."""
    return [
        _problem(detail["loc"], plain(detail), text) for detail in error.errors(include_url=False)
    ]


def _problem(location: Location, message: str, text: str) -> Problem:
    # Pydantic appends this to the place of a key that is wrong; the place is the key itself.
    path = location[:-1] if location[-1:] == ("[key]",) else location
    return Problem(dotted(path)[:PLACE_CHARS_MAX], message, line_of(text, path))


def _dangling(catalog: Catalog, text: str) -> list[Problem]:
    """References to what the catalog does not have."""
    found: list[tuple[Location, str]] = []
    for name, offer in catalog.offers.items():
        found += [
            (("offers", name, "channels", index), f"{channel!r} is not among [channels]")
            for index, channel in enumerate(offer.channels)
            if channel not in catalog.channels
        ]
    found += _reserved(catalog) + _baseline(catalog)
    channels_of = {name: offer.channels for name, offer in catalog.offers.items()}
    rules = (catalog.caps, catalog.exclusion_groups, catalog.cool_downs)
    found += dangling_rules(*rules, channels_of, catalog.channels)
    return [Problem(dotted(path), problem, line_of(text, path)) for path, problem in found]


def _reserved(catalog: Catalog) -> list[tuple[Location, str]]:
    text = "is reserved; to let the policy not send, write [no_send]"
    found: list[tuple[Location, str]] = []
    if NO_SEND in catalog.offers:
        found.append((("offers", NO_SEND), text))
    if NO_CHANNEL in catalog.channels:
        found.append((("channels", NO_CHANNEL), text))
    return found


def _baseline(catalog: Catalog) -> list[tuple[Location, str]]:
    rule = catalog.baseline
    if rule is None:
        missing = "is above 0, but there is no [baseline] that says what to send"
        return [(("traffic", "baseline"), missing)] if catalog.traffic.baseline else []
    if rule.offer == NO_SEND and catalog.no_send is not None:
        return []
    if rule.offer not in catalog.offers:
        return [(("baseline", "offer"), f"{rule.offer!r} is not among [offers]")]
    channels = catalog.offers[rule.offer].channels
    if rule.channel is not None and rule.channel not in channels:
        return [(("baseline", "channel"), f"{rule.channel!r} is not a channel of {rule.offer!r}")]
    return []
