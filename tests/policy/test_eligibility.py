"""The eligible tree: everything that all rules allow, and a reason for all the rest."""

from dataclasses import replace
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.catalog import NO_CHANNEL, NO_SEND, Catalog, Channel, Offer, parse_catalog
from policy.catalog_fields import WEEKDAYS
from policy.eligibility import Reason, eligibility, is_no_send
from policy.request import Request
from policy.situation import bits
from tests.policy.catalogs import minimal, toml
from tests.policy.situations import catalogs, requests

MINUTE_MS = 60_000
Plain = dict[str, dict[str, tuple[int, ...]]]


class Reference:
    """The rules as the catalog's words have them, looked at window by window, minute by minute."""

    def __init__(self, request: Request, catalog: Catalog) -> None:
        self._request = request
        self._catalog = catalog
        self._zone = ZoneInfo(request.time_zone or catalog.send_times.time_zone)
        self._step_ms = catalog.send_times.step_minutes * MINUTE_MS
        self._earliest_ms = max(request.now_ms, request.earliest_ms or 0)
        self._start_ms = self._earliest_ms - self._earliest_ms % self._step_ms

    def tree(self) -> Plain:
        """The windows of each channel of each offer, without what is empty."""
        found: Plain = {}
        for name, offer in self._catalog.offers.items():
            channels = {channel: self._windows(channel, offer) for channel in offer.channels}
            found[name] = {
                channel: windows
                for channel, windows in channels.items()
                if windows and self._channel_allowed(channel)
            }
        if self._catalog.no_send is not None:
            found[NO_SEND] = {NO_CHANNEL: (0,)}
        return {name: kept for name, kept in found.items() if kept and self._offer_allowed(name)}

    def _offer_allowed(self, name: str) -> bool:
        listed = self._request.eligible_offers
        return name not in self._request.excluded_offers and (not listed or name in listed)

    def _channel_allowed(self, name: str) -> bool:
        listed, consent = self._request.eligible_channels, self._catalog.channels[name].consent
        wanted = name not in self._request.excluded_channels and (not listed or name in listed)
        return wanted and (consent is None or consent in self._request.granted_consents)

    def _windows(self, channel: str, offer: Offer) -> tuple[int, ...]:
        rule = self._catalog.channels[channel]
        windows = range(self._catalog.send_times.windows)
        return tuple(window for window in windows if self._window_allowed(window, rule, offer))

    def _window_allowed(self, window: int, channel: Channel, offer: Offer) -> bool:
        begin_ms = max(self._start_ms + window * self._step_ms, self._earliest_ms)
        end_ms = self._start_ms + (window + 1) * self._step_ms
        if self._request.latest_ms is not None and begin_ms > self._request.latest_ms:
            return False
        begin, end = utc(begin_ms), utc(end_ms)
        if offer.valid_from is not None and begin < offer.valid_from:
            return False
        if offer.valid_until is not None and end > offer.valid_until:
            return False
        minutes = range(begin_ms - begin_ms % MINUTE_MS, end_ms, MINUTE_MS)
        return self._request.critical or not any(self._quiet(channel, ms) for ms in minutes)

    def _quiet(self, channel: Channel, moment_ms: int) -> bool:
        local = utc(moment_ms).astimezone(self._zone)
        if WEEKDAYS[local.weekday()] in channel.quiet_days:
            return True
        hours = channel.quiet_hours
        if hours is None:
            return False
        clock = local.time()
        if hours.end == time.max:
            return clock >= hours.start
        if hours.start < hours.end:
            return hours.start <= clock < hours.end
        return clock >= hours.start or clock < hours.end


def utc(moment_ms: int) -> datetime:
    """A moment in UTC, to the millisecond."""
    return datetime.fromtimestamp(moment_ms // 1000, UTC).replace(
        microsecond=moment_ms % 1000 * 1000
    )


def plain(request: Request, catalog: Catalog) -> Plain:
    """The eligible tree as plain values."""
    tree = eligibility(request, catalog).situation.tree
    return {
        node.offer: {channel: bits(windows) for channel, windows in node.channels} for node in tree
    }


cases = catalogs().flatmap(lambda catalog: st.tuples(requests(catalog), st.just(catalog)))


@settings(max_examples=200)
@given(cases)
def test_the_tree_equals_a_slow_plain_reference(case: tuple[Request, Catalog]) -> None:
    """Over random catalogs, zones and dates the tree has what the plain rules allow, no more."""
    request, catalog = case
    assert plain(request, catalog) == Reference(request, catalog).tree()


@given(cases)
def test_the_tree_keeps_the_order_of_the_catalog(case: tuple[Request, Catalog]) -> None:
    """Offers and an offer's channels come as they are written; no send comes last."""
    request, catalog = case
    tree = eligibility(request, catalog).situation.tree
    order = [*catalog.offers, NO_SEND]
    names = [node.offer for node in tree]
    assert names == sorted(names, key=order.index)
    for node in tree[: len(tree) - (NO_SEND in names)]:
        written = catalog.offers[node.offer].channels
        channels = [channel for channel, _ in node.channels]
        assert channels == sorted(channels, key=written.index)
    assert [is_no_send(tree, index) for index in range(len(tree))] == [
        name == NO_SEND for name in names
    ]


@given(cases)
def test_what_is_not_in_the_tree_has_a_reason(case: tuple[Request, Catalog]) -> None:
    """Every offer, and each channel of an offer that is left, is in the tree or explained, once."""
    request, catalog = case
    found = eligibility(request, catalog)
    tree = plain(request, catalog)
    told = [(item.offer, item.channel) for item in found.suppressions]
    assert len(set(told)) == len(told)
    offers = {*catalog.offers, *([NO_SEND] if catalog.no_send else [])}
    whole = {offer for offer, channel in told if not channel}
    assert whole == offers - set(tree)
    closed = {channel for offer, channel in told if not offer}
    for offer in set(tree) - {NO_SEND}:
        gone = set(catalog.offers[offer].channels) - set(tree[offer])
        assert gone - closed == {channel for name, channel in told if name == offer and channel}
        assert not set(tree[offer]) & closed


@given(cases)
def test_critical_bypasses_quiet_hours_and_nothing_else(case: tuple[Request, Catalog]) -> None:
    """A critical request sees the tree of a catalog without quiet hours and days."""
    request, catalog = case
    loud = catalog.model_copy(
        update={
            "channels": {
                name: channel.model_copy(update={"quiet_hours": None, "quiet_days": ()})
                for name, channel in catalog.channels.items()
            }
        }
    )
    critical = replace(request, critical=True)
    assert plain(critical, catalog) == plain(replace(request, critical=False), loud)
    reasons = {item.reason for item in eligibility(critical, catalog).suppressions}
    assert Reason.QUIET_HOURS not in reasons


@given(cases)
def test_a_rule_more_never_adds_anything(case: tuple[Request, Catalog]) -> None:
    """Excluding, refusing consent and a shorter time only take away."""
    request, catalog = case
    stricter = replace(
        request,
        excluded_channels=(*request.excluded_channels, next(iter(catalog.channels))),
        granted_consents=frozenset(),
        latest_ms=min(request.latest_ms or 2**62, request.now_ms + 3_600_000),
    )
    wide, narrow = plain(request, catalog), plain(stricter, catalog)
    for offer, channels in narrow.items():
        for channel, windows in channels.items():
            assert set(windows) <= set(wide[offer][channel])


NOON_MS = int(datetime(2026, 6, 10, 12, tzinfo=UTC).timestamp()) * 1000
QUIET_NOW = {"quiet_hours": {"start": time(11), "end": time(14)}}
GONE = {"valid_until": datetime(2026, 1, 1, tzinfo=UTC)}
LATER = {"valid_from": datetime(2026, 6, 10, 14, tzinfo=UTC)}
TWO = {"channels": ["email", "push"]}


def reasons(request: Request, **tables: object) -> set[tuple[str, str, Reason]]:
    """Everything that is suppressed, and why."""
    catalog = parse_catalog(toml(minimal(**tables)))
    found = eligibility(request, catalog).suppressions
    return {(item.offer, item.channel, item.reason) for item in found}


REASONS: list[tuple[dict[str, object], dict[str, object], set[tuple[str, str, Reason]]]] = [
    ({}, {}, set()),
    (
        {"offers": {"a": {"channels": ["email"], **GONE}}},
        {},
        {("a", "", Reason.OFFER_NOT_VALID)},
    ),
    (
        {"channels": {"email": {"consent": "ads"}}},
        {},
        {("", "email", Reason.NO_CONSENT), ("a", "", Reason.NO_CHANNEL)},
    ),
    (
        {"channels": {"email": QUIET_NOW}},
        {},
        {("", "email", Reason.QUIET_HOURS), ("a", "", Reason.NO_CHANNEL)},
    ),
    (
        {"channels": {"email": {"quiet_days": ["wednesday"]}}},
        {},
        {("", "email", Reason.QUIET_HOURS), ("a", "", Reason.NO_CHANNEL)},
    ),
    ({}, {"excluded_offers": ("a",)}, {("a", "", Reason.CALLER)}),
    ({"no_send": {}}, {"eligible_offers": (NO_SEND,)}, {("a", "", Reason.CALLER)}),
    ({"no_send": {}}, {"excluded_offers": (NO_SEND,)}, {(NO_SEND, "", Reason.CALLER)}),
    ({"no_send": {}}, {"eligible_offers": ("a",)}, {(NO_SEND, "", Reason.CALLER)}),
    (
        {},
        {"excluded_channels": ("email",)},
        {("", "email", Reason.CALLER), ("a", "", Reason.NO_CHANNEL)},
    ),
    (
        {},
        {"latest_ms": NOON_MS - 1},
        {("", "email", Reason.NO_SEND_WINDOW), ("a", "", Reason.NO_CHANNEL)},
    ),
    (
        {
            "channels": {
                "email": {"quiet_hours": {"start": time(14), "end": time(11)}},
                "push": {},
            },
            "offers": {"a": {**TWO, **LATER}},
            "send_times": {"windows": 4},
        },
        {},
        {("a", "email", Reason.OFFER_NOT_VALID)},
    ),
]


@pytest.mark.parametrize(("tables", "asked", "expected"), REASONS)
def test_each_rule_has_its_reason(
    tables: dict[str, object],
    asked: dict[str, object],
    expected: set[tuple[str, str, Reason]],
) -> None:
    """The caller learns which rule kept what back."""
    request = replace(Request(now_ms=NOON_MS), **asked)  # type: ignore[arg-type]
    assert reasons(request, **tables) == expected


def test_nothing_eligible_is_an_empty_tree() -> None:
    """Where all is kept back there is no error: the tree is empty, and the reasons are there."""
    request = Request(now_ms=NOON_MS, excluded_offers=("a",))
    found = eligibility(request, parse_catalog(toml(minimal())))
    assert found.situation.tree == ()
    assert found.suppressions


def test_critical_never_bypasses_consent() -> None:
    """A channel without the subject's consent stays closed to critical messages."""
    request = Request(now_ms=NOON_MS, critical=True)
    tables = {"channels": {"email": {"consent": "ads"}}}
    assert ("", "email", Reason.NO_CONSENT) in reasons(request, **tables)


def test_the_zone_of_the_request_comes_before_that_of_the_catalog() -> None:
    """Noon in UTC is 21:00 in Tokyo: quiet there, whatever the catalog's own zone is."""
    tables = minimal(
        channels={"email": {"quiet_hours": {"start": time(21), "end": time(7)}}},
        send_times={"time_zone": "Europe/Berlin"},
    )
    catalog = parse_catalog(toml(tables))
    assert plain(Request(now_ms=NOON_MS), catalog)
    assert not plain(Request(now_ms=NOON_MS, time_zone="Asia/Tokyo"), catalog)


def test_what_the_policy_sees_is_what_was_asked() -> None:
    """Features arrive in the situation as they are in the request."""
    offer_features = {"a": {"affinity": 0.5}}
    request = Request(NOON_MS, features={"plan": "gold"}, offer_features=offer_features)
    situation = eligibility(request, parse_catalog(toml(minimal()))).situation
    assert situation.features == {"plan": "gold"}
    assert situation.offer_features == offer_features
