"""The catalog: the marketer's file of offers, channels, send times, rules, rewards and shares."""

import hashlib
import tomllib
from datetime import UTC, datetime, time
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from policy.errors import CatalogError, Problem, RequestError
from policy.exploration import Exploration
from policy.features import Features, builtin_token, check_features, feature_text
from policy.places import dotted, line_of

NO_SEND = "no_send"
NO_CHANNEL = "none"
OFFERS_MAX = 10_000
CHANNELS_MAX = 64
WINDOWS_MAX = 168
TICK_MINUTES = 15  # every zone's offset today is a multiple of it

Name = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64, strict=True)
]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


def _plain_features(features: Features) -> Features:
    try:
        check_features(features, "features")
    except RequestError as error:
        raise ValueError(str(error)) from None
    # 1 and 1.0 mean the same, and have to give the same version.
    return {
        name: value if isinstance(value, str | bool) else float(value)
        for name, value in features.items()
    }


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is not an IANA time zone, such as 'Europe/Berlin'")
    return name


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("needs an offset, such as 2026-12-01T00:00:00Z")
    return moment.astimezone(UTC)


def _clock(value: object) -> object:
    """A time of day, or 24:00 as the end of the day."""
    return time.max if value == "24:00" else value


def _on_tick(value: time) -> time:
    if value != time.max and (value.minute % TICK_MINUTES or value.second or value.microsecond):
        raise ValueError(f"must be a multiple of {TICK_MINUTES} minutes, such as 21:00")
    return value


Number = Annotated[StrictFloat | StrictInt, AfterValidator(float)]
TimeZone = Annotated[str, AfterValidator(_zone)]
Moment = Annotated[datetime, AfterValidator(_aware)]
ClockTime = Annotated[time, BeforeValidator(_clock), AfterValidator(_on_tick)]
FeatureTable = Annotated[
    dict[StrictStr, StrictStr | StrictBool | StrictInt | StrictFloat],
    AfterValidator(_plain_features),
]


class _Table(BaseModel):
    """A table of the file: no unknown keys, no changes after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class QuietHours(_Table):
    """Hours of the subject's day in which nothing starts or runs; may span midnight."""

    start: ClockTime
    end: ClockTime

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.start == self.end:
            raise ValueError("start and end are equal; leave quiet_hours out if there are none")
        return self


class Channel(_Table):
    """A way to reach a subject."""

    consent: StrictStr | None = None
    """Consent that the subject must have given; none if not set."""
    quiet_hours: QuietHours | None = None
    quiet_days: tuple[Weekday, ...] = ()
    features: FeatureTable = Field(default_factory=dict)


class Offer(_Table):
    """Something to send."""

    channels: tuple[Name, ...] = Field(min_length=1)
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    """Exclusive."""
    features: FeatureTable = Field(default_factory=dict)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            raise ValueError("valid_from must be before valid_until")
        return self


class NoSend(_Table):
    """Not sending, as an offer like any other; the policy may choose it if this table is there."""

    features: FeatureTable = Field(default_factory=dict)


class SendTimes(_Table):
    """The send windows of a decision: `windows` of `step_minutes` each, the first one running."""

    step_minutes: int = Field(default=60, ge=TICK_MINUTES, le=1440, multiple_of=TICK_MINUTES)
    windows: int = Field(default=1, ge=1, le=WINDOWS_MAX)
    time_zone: TimeZone = "UTC"
    """Zone of subjects whose request names none."""


class Reward(_Table):
    """What counts as success. Applied when a log is replayed, never when it is written."""

    weights: dict[StrictStr, Number] = Field(min_length=1)
    """Worth of one unit of each reward, by name; rewards not named here do not count."""
    aggregation: Literal["sum", "first", "last", "max", "min"] = "sum"
    """How several rewards of one name for one decision become one value."""
    attribution_days: float = Field(default=14.0, gt=0.0, le=3650.0)
    """Rewards that happen later than this after the decision do not count."""
    default: Number = 0.0
    """The reward of a delivered decision without any."""


class Traffic(_Table):
    """Shares of the subjects that do not get the champion."""

    random: Share = 0.0
    holdout: Share = 0.0
    baseline: Share = 0.0

    @model_validator(mode="after")
    def _leave_a_champion(self) -> Self:
        if self.random + self.holdout + self.baseline > 1.0:
            raise ValueError("random, holdout and baseline together must not exceed 1")
        return self


class Baseline(_Table):
    """The fixed rule that the baseline arm follows; whatever is not pinned is drawn evenly."""

    offer: Name
    channel: Name | None = None


class Catalog(_Table):
    """A whole catalog."""

    schema_version: Literal[1] = Field(alias="schema")
    name: Name
    channels: dict[Name, Channel] = Field(min_length=1, max_length=CHANNELS_MAX)
    offers: dict[Name, Offer] = Field(min_length=1, max_length=OFFERS_MAX)
    no_send: NoSend | None = None
    send_times: SendTimes = SendTimes()
    reward: Reward
    exploration: Exploration = Exploration()
    traffic: Traffic = Traffic()
    baseline: Baseline | None = None

    @cached_property
    def version(self) -> str:
        """Hash of the content: the same for the same meaning, however the file is laid out."""
        text = self.model_dump_json(by_alias=True)
        return f"catalog-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @cached_property
    def offer_tokens(self) -> dict[str, str]:
        """Name and features of every offer, no send included, as VW tokens."""
        offers: dict[str, Offer | NoSend] = {**self.offers}
        if self.no_send is not None:
            offers[NO_SEND] = self.no_send
        return {name: _tokens("offer", name, offer.features) for name, offer in offers.items()}

    @cached_property
    def channel_tokens(self) -> dict[str, str]:
        """Name and features of every channel as VW tokens."""
        channels = self.channels.items()
        tokens = {name: _tokens("channel", name, channel.features) for name, channel in channels}
        return {**tokens, NO_CHANNEL: _tokens("channel", NO_CHANNEL, {})}


def _tokens(kind: str, name: str, features: Features) -> str:
    return f"{builtin_token(kind, name)} {feature_text(features)}".rstrip()


def parse_catalog(text: str, source: str = "the catalog") -> Catalog:
    """Reads a catalog from TOML.

    Args:
        text: the file's content.
        source: what messages call it, such as its path.

    Raises:
        CatalogError: with everything that is wrong and where.
    """
    try:
        catalog = Catalog.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(source, [Problem("", f"not TOML: {error}")]) from None
    except ValidationError as error:
        raise CatalogError(source, _problems(error, text)) from None
    if dangling := _dangling(catalog, text):
        raise CatalogError(source, dangling)
    return catalog


def read_catalog(path: Path) -> str:
    """The text of a catalog file.

    Raises:
        CatalogError: if it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(str(path), [Problem("", f"cannot be read: {error}")]) from None


def load_catalog(path: Path) -> Catalog:
    """Reads a catalog file.

    Raises:
        CatalogError: with everything that is wrong and where, also if it cannot be read.
    """
    return parse_catalog(read_catalog(path), str(path))


def _problems(error: ValidationError, text: str) -> list[Problem]:
    """Pydantic's findings, each with its place and its line."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        Problem(
            dotted(detail["loc"]),
            detail["msg"].removeprefix("Value error, "),
            line_of(text, detail["loc"]),
        )
        for detail in details
    ]


def _dangling(catalog: Catalog, text: str) -> list[Problem]:
    """References to what the catalog does not have."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    for name, offer in catalog.offers.items():
        found += [
            (("offers", name, "channels", index), f"{channel!r} is not among [channels]")
            for index, channel in enumerate(offer.channels)
            if channel not in catalog.channels
        ]
    found += _reserved(catalog) + _baseline(catalog)
    return [Problem(dotted(path), problem, line_of(text, path)) for path, problem in found]


def _reserved(catalog: Catalog) -> list[tuple[tuple[str | int, ...], str]]:
    text = "is reserved; to let the policy not send, write [no_send]"
    found: list[tuple[tuple[str | int, ...], str]] = []
    if NO_SEND in catalog.offers:
        found.append((("offers", NO_SEND), text))
    if NO_CHANNEL in catalog.channels:
        found.append((("channels", NO_CHANNEL), text))
    return found


def _baseline(catalog: Catalog) -> list[tuple[tuple[str | int, ...], str]]:
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
