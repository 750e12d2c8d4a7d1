"""Random catalogs, requests and situations, for tests of everything that builds on them."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from hypothesis import strategies as st

from policy.catalog import NO_SEND, Catalog, parse_catalog
from policy.catalog_fields import WEEKDAYS
from policy.eligibility import eligibility
from policy.request import Request
from policy.situation import Situation
from tests.policy.catalogs import minimal, toml

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
]
DAY_MS = 86_400_000
# Near these moments the clocks of some zone above change, by an hour or by half of one.
CHANGES = [
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    datetime(2018, 11, 4, 3, tzinfo=UTC),
    datetime(2026, 6, 10, 12, tzinfo=UTC),
]
moments_ms = st.builds(
    lambda change, offset_ms: int(change.timestamp()) * 1000 + offset_ms,
    st.sampled_from(CHANGES),
    st.integers(-DAY_MS, DAY_MS),
)
clocks = st.integers(0, 95).map(lambda tick: time(tick // 4, tick % 4 * 15))
OFFERS = ["a", "b", "c", "d"]
CHANNELS = ["email", "push", "sms"]
CONSENTS = ["news", "ads"]
REWARDS = ["order", "unsubscribe"]
# Some look like what the model's own text is made of.
features = st.dictionaries(
    st.sampled_from(["plan", "age", "x|y", "flag", "a:2\n1 |o _offer=a"]),
    st.one_of(
        st.sampled_from(["gold", "a b", "|c", "é:3", "|o _offer=a\n\n"]),
        st.floats(-10.0, 10.0),
        st.sampled_from([0.0, 1e-7, -2e-6, 99.0]),
        st.booleans(),
    ),
    max_size=3,
)


CONTACTS: dict[str, st.SearchStrategy[float]] = {
    "minimum_gap_hours": st.sampled_from([0.5, 3.0]),
    "confirm_within_hours": st.sampled_from([1.0, 24.0]),
}


def budget_tables(per_day_max: int = 30) -> st.SearchStrategy[dict[str, Any]]:
    """A budget of some messages a day, paced or not."""
    pacing = st.sampled_from(["even", "none"])
    return st.fixed_dictionaries(
        {"per_day": st.integers(1, per_day_max)}, optional={"pacing": pacing}
    )


@st.composite
def cap_tables(draw: st.DrawFn, offers: list[str], channels: list[str]) -> dict[str, Any]:
    """A cap of a few messages in hours or days, of one offer or channel now and then."""
    table: dict[str, Any] = {"messages": draw(st.integers(1, 4))}
    table |= draw(st.sampled_from([{"hours": 1.0}, {"hours": 30.0}, {"days": 1}, {"days": 3}]))
    if draw(st.booleans()):
        table["channel"] = draw(st.sampled_from(channels))
    elif draw(st.booleans()):
        table["offer"] = draw(st.sampled_from(offers))
    return table


@st.composite
def cool_down_tables(draw: st.DrawFn, offers: list[str], channels: list[str]) -> dict[str, Any]:
    """A pause of hours or days, for some or for what was responded to."""
    table: dict[str, Any] = {
        "after": draw(st.sampled_from(REWARDS)),
        "days": draw(st.sampled_from([0.25, 1, 3])),
    }
    for name, names in (("offers", offers), ("channels", channels)):
        if draw(st.booleans()):
            table[name] = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    return table | draw(st.fixed_dictionaries({}, optional=dict.fromkeys(SAME, st.booleans())))


SAME = ["same_offer", "same_channel"]


@st.composite
def rule_tables(draw: st.DrawFn, offers: list[str], channels: list[str]) -> dict[str, Any]:
    """Rules about contacts, each kind of them now and then."""
    tables: dict[str, Any] = {}
    if draw(st.booleans()):
        tables["contacts"] = draw(st.fixed_dictionaries({}, optional=CONTACTS))
    if draw(st.booleans()):
        tables["caps"] = draw(st.lists(cap_tables(offers, channels), max_size=3))
    if draw(st.booleans()) and len(offers) > 1:
        group = {"offers": offers[:3], "days": draw(st.sampled_from([0.5, 2]))}
        tables["exclusion_groups"] = {"group": group}
    if draw(st.booleans()):
        tables["cool_downs"] = draw(st.lists(cool_down_tables(offers, channels), max_size=2))
    return tables


@st.composite
def channel_tables(draw: st.DrawFn) -> dict[str, Any]:
    """A channel with rules that leave something over now and then."""
    table: dict[str, Any] = {"features": draw(features)}
    if draw(st.booleans()):
        table["consent"] = draw(st.sampled_from(CONSENTS))
    if draw(st.booleans()):
        start, end = draw(clocks), draw(st.one_of(clocks, st.just("24:00")))
        if start != end:
            table["quiet_hours"] = {"start": start, "end": end}
    if draw(st.booleans()):
        table["quiet_days"] = draw(st.lists(st.sampled_from(WEEKDAYS), max_size=2))
    if draw(st.booleans()):
        table["minimum_gap_hours"] = draw(st.sampled_from([0.25, 2.0, 24.0]))
    if draw(st.booleans()):
        table["budget"] = draw(budget_tables())
    return table


@st.composite
def offer_tables(draw: st.DrawFn, channels: list[str]) -> dict[str, Any]:
    """An offer that is valid around the moments of the tests, or not at all."""
    picked = draw(st.lists(st.sampled_from(channels), min_size=1, unique=True))
    table: dict[str, Any] = {"channels": picked, "features": draw(features)}
    moments = st.builds(
        lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms), moments_ms
    )
    if draw(st.booleans()):
        table["valid_from"] = draw(moments)
    if draw(st.booleans()):
        table["valid_until"] = draw(moments)
        if table.get("valid_from", table["valid_until"]) >= table["valid_until"]:
            table.pop("valid_from", None)
    if draw(st.booleans()):
        table["budget"] = draw(budget_tables())
    return table


@st.composite
def catalog_texts(draw: st.DrawFn) -> str:
    """The text of a catalog with up to four offers, three channels and twelve windows."""
    channels = draw(st.lists(st.sampled_from(CHANNELS), min_size=1, unique=True))
    offers = draw(st.lists(st.sampled_from(OFFERS), min_size=1, unique=True))
    tables = minimal(
        channels={name: draw(channel_tables()) for name in channels},
        offers={name: draw(offer_tables(channels)) for name in offers},
        send_times={
            "step_minutes": draw(st.sampled_from([15, 30, 45, 60, 240])),
            "windows": draw(st.integers(1, 12)),
            "time_zone": draw(st.sampled_from(ZONES)),
        },
        **draw(rule_tables(offers, channels)),
    )
    if draw(st.booleans()):
        tables["no_send"] = {"features": draw(features)}
    return toml(tables)


def catalogs() -> st.SearchStrategy[Catalog]:
    """Such a catalog."""
    return catalog_texts().map(parse_catalog)


def some_of(names: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    """None or a few of the names; mostly none, or hardly any tree would have anything in it."""
    few = st.lists(st.sampled_from(names), min_size=1, max_size=2).map(tuple)
    return st.one_of(st.just(()), st.just(()), few)


@st.composite
def requests(draw: st.DrawFn, catalog: Catalog) -> Request:
    """A request that the catalog can answer, in whatever way."""
    now_ms = draw(moments_ms)
    offers = [*catalog.offers, *([NO_SEND] if catalog.no_send else [])]
    earliest_ms = draw(st.none() | st.integers(now_ms - DAY_MS, now_ms + DAY_MS))
    # Few lists and limits: otherwise hardly any tree would have anything in it.
    some_offers = st.just(()) | st.lists(st.sampled_from(offers), max_size=2).map(tuple)
    some_channels = st.just(()) | st.lists(st.sampled_from(list(catalog.channels)), max_size=2).map(
        tuple
    )
    return Request(
        now_ms=now_ms,
        time_zone=draw(st.sampled_from(["", *ZONES])),
        features=draw(features),
        offer_features={name: draw(features) for name in draw(some_offers)},
        eligible_offers=draw(some_offers),
        excluded_offers=draw(some_offers),
        eligible_channels=draw(some_channels),
        excluded_channels=draw(some_channels),
        granted_consents=frozenset(draw(st.lists(st.sampled_from(CONSENTS)))),
        earliest_ms=earliest_ms,
        latest_ms=draw(st.none() | st.integers(earliest_ms or now_ms, now_ms + 2 * DAY_MS)),
        critical=draw(st.booleans()),
    )


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """A situation in which there is something to choose from."""
    catalog = draw(catalogs())
    situation = eligibility(draw(requests(catalog)), catalog).situation
    if not situation.tree:
        request = Request(now_ms=draw(moments_ms), critical=True, granted_consents=ALL_CONSENTS)
        tables = minimal(no_send={}, send_times={"windows": 3})
        situation = eligibility(request, parse_catalog(toml(tables))).situation
    return situation


ALL_CONSENTS = frozenset(CONSENTS)
