"""What tables of the catalog are made of: names, moments, clocks, numbers, features, checked."""

from datetime import UTC, datetime, time
from typing import Annotated, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
)

from policy.features import FEATURES_MAX, FeatureValue, name_problem, value_problem
from policy.zones import is_zone

LABEL_CHARS_MAX = 128
TICK_MINUTES = 15  # every zone's offset today is a multiple of it
# The log keeps a subject's contacts and responses for 400 days: no rule may look further back.
REACH_DAYS_MAX = 366


class Table(BaseModel):
    """A table of the file: no unknown keys, no guessing of types, no changes after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=LABEL_CHARS_MAX)]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)


def whole(value: object) -> object:
    """Refuses what only equals a whole number: true is not 1."""
    if type(value) is not int:
        raise ValueError("must be a whole number")
    return value


def _feature_name(name: str) -> str:
    if problem := name_problem(name):
        raise ValueError(problem)
    return name


def _feature_value(value: object) -> FeatureValue:
    if not isinstance(value, str | bool | int | float):
        raise ValueError("must be a text, a number, true or false")  # noqa: TRY004 - for pydantic
    if problem := value_problem(value):
        raise ValueError(problem)
    # 1 and 1.0 mean the same, and have to give the same version.
    return value if isinstance(value, str | bool) else float(value) + 0.0


def _zone(name: str) -> str:
    if not is_zone(name):
        raise ValueError(f"{name!r} is not an IANA time zone, such as 'Europe/Berlin'")
    return name


def _moment(value: object) -> object:
    if isinstance(value, bool | int | float):
        raise ValueError("must be a date and time, such as 2026-12-01T00:00:00Z")  # noqa: TRY004
    return value


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("needs an offset, such as 2026-12-01T00:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is too far from today") from None


def _clock(value: object) -> object:
    if isinstance(value, bool | int | float):
        raise ValueError('must be a time of day, such as "21:00"')  # noqa: TRY004 - for pydantic
    return value


def _end_clock(value: object) -> object:
    """A time of day, or 24:00 as the end of the day."""
    return time.max if value == "24:00" else _clock(value)


def _on_tick(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError("must have no zone: it is the subject's own time")
    if value != time.max and (value.minute % TICK_MINUTES or value.second or value.microsecond):
        raise ValueError(f"must be a multiple of {TICK_MINUTES} minutes, such as 21:00")
    return value


def _start(value: time) -> time:
    if value == time.max:
        raise ValueError("must be before the end of the day; the day begins at 00:00")
    return value


def _all_different(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("must name at least one")
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f"{name!r} is named twice")
    return names


def _in_week_order(days: tuple[Weekday, ...]) -> tuple[Weekday, ...]:
    return tuple(day for day in WEEKDAYS if day in days)


# TOML has no tuples, and no 24:00: here, and only here, one type may stand for another.
_LAX = Field(strict=False)
Number = Annotated[float, AfterValidator(lambda value: value + 0.0)]  # -0.0 means 0.0
Days = Annotated[float, Field(gt=0.0, le=REACH_DAYS_MAX)]
Hours = Annotated[float, Field(gt=0.0, le=REACH_DAYS_MAX * 24)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
TimeZone = Annotated[str, AfterValidator(_zone)]
Moment = Annotated[datetime, _LAX, BeforeValidator(_moment), AfterValidator(_aware)]
StartTime = Annotated[
    time, _LAX, BeforeValidator(_end_clock), AfterValidator(_on_tick), AfterValidator(_start)
]
EndTime = Annotated[time, _LAX, BeforeValidator(_end_clock), AfterValidator(_on_tick)]
Names = Annotated[tuple[Name, ...], _LAX, AfterValidator(_all_different)]
NoOrLabels = Annotated[tuple[Label, ...], _LAX]
Labels = Annotated[tuple[Label, ...], _LAX, AfterValidator(_all_different)]
Weekdays = Annotated[tuple[Weekday, ...], _LAX, AfterValidator(_in_week_order)]
FeatureTable = Annotated[
    dict[
        Annotated[str, AfterValidator(_feature_name)],
        Annotated[FeatureValue, PlainValidator(_feature_value)],
    ],
    Field(max_length=FEATURES_MAX),
]
