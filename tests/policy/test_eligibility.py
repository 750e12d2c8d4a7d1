"""The eligible tree: everything that all rules allow, and a reason for all the rest."""

from dataclasses import replace
from datetime import UTC, datetime, time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy import eligible_tree
from policy.budgets import SLOTS, budget_keys
from policy.catalog import NO_SEND, Catalog, parse_catalog
from policy.eligibility import Reason, Suppression, eligibility, is_no_send
from policy.request import Request
from policy.situation import bits
from policy.standing import NO_STANDING, NOTHING_SPENT, Spent, Standing
from tests.policy.catalogs import minimal, toml
from tests.policy.reference import Plain, Reference
from tests.policy.situations import catalogs, requests
from tests.policy.standings import Contact, Response, spendings, standing_of, standings

Case = tuple[Request, Catalog, Standing, Spent]


def plain(
    request: Request,
    catalog: Catalog,
    standing: Standing = NO_STANDING,
    spent: Spent = NOTHING_SPENT,
) -> Plain:
    """The eligible tree as plain values."""
    tree = eligibility(request, catalog, standing, spent).situation.tree
    return {
        node.offer: {channel: bits(windows) for channel, windows in node.channels} for node in tree
    }


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A catalog, a request, and all that its rules depend on."""
    catalog = draw(catalogs())
    request = draw(requests(catalog))
    spent = draw(spendings(catalog, request.now_ms))
    return request, catalog, draw(standings(request.now_ms)), spent


@settings(max_examples=200)
@given(cases())
def test_the_tree_equals_a_slow_plain_reference(case: Case) -> None:
    """Over random catalogs, zones and dates the tree has what the plain rules allow, no more."""
    assert plain(*case) == Reference(*case).tree()


@given(cases())
def test_the_tree_keeps_the_order_of_the_catalog(case: Case) -> None:
    """Offers and an offer's channels come as they are written; no send comes last."""
    _, catalog, _, _ = case
    tree = eligibility(*case).situation.tree
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


@given(cases())
def test_what_is_not_in_the_tree_has_a_reason(case: Case) -> None:
    """Every offer, and each channel of an offer that is left, is in the tree or explained, once."""
    _, catalog, _, _ = case
    found = eligibility(*case)
    tree = plain(*case)
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


@given(cases())
def test_critical_bypasses_quiet_hours_and_caps_and_nothing_else(case: Case) -> None:
    """A critical request sees the tree of a catalog without quiet times, caps and gaps."""
    request, catalog, standing, spent = case
    loud = {"quiet_hours": None, "quiet_days": (), "minimum_gap_hours": None}
    channels = {name: one.model_copy(update=loud) for name, one in catalog.channels.items()}
    contacts = catalog.contacts.model_copy(update={"minimum_gap_hours": None})
    bare = catalog.model_copy(update={"channels": channels, "caps": (), "contacts": contacts})
    critical = replace(request, critical=True)
    assert plain(critical, catalog, standing, spent) == plain(
        replace(request, critical=False), bare, standing, spent
    )
    reasons = {item.reason for item in eligibility(critical, catalog, standing, spent).suppressions}
    assert not reasons & {Reason.QUIET_HOURS, Reason.CAP_REACHED, Reason.MINIMUM_GAP}


@given(cases())
def test_what_was_bypassed_is_what_would_have_forbidden_it(case: Case) -> None:
    """A critical message bypassed just the rules that keep it from a request that is not."""
    request, catalog, standing, spent = case
    found = eligibility(replace(request, critical=True), catalog, standing, spent)
    normal = plain(replace(request, critical=False), catalog, standing, spent)
    reference = Reference(request, catalog, standing, spent)
    for node in found.situation.tree[: len(found.situation.tree) - (catalog.no_send is not None)]:
        for channel, windows in node.channels:
            for window in bits(windows):
                told = set(found.bypassed(node.offer, channel, window))
                broken = reference.broken(node.offer, channel, reference.send_time_ms(window))
                assert told - {Reason.QUIET_HOURS} == broken
                allowed = window in normal.get(node.offer, {}).get(channel, ())
                assert allowed == (not told)
                ask = replace(request, critical=False)
                assert not eligibility(ask, catalog, standing, spent).bypassed(
                    node.offer, channel, window
                )


@settings(max_examples=50)
@given(cases(), st.data())
def test_what_holds_gives_the_same_tree(case: Case, data: st.DataObject) -> None:
    """An eligible set holds while nothing changed, and never where another one would be found."""
    request, catalog, standing, spent = case
    found = eligibility(*case)
    assert found.holds(standing, spent)
    later = data.draw(standings(request.now_ms)), data.draw(spendings(catalog, request.now_ms))
    if found.holds(*later):
        again = eligibility(request, catalog, *later)
        assert again.situation.tree == found.situation.tree
        assert set(again.checks.barred) == set(found.checks.barred)


def test_a_budget_that_is_told_of_no_more_is_unspent() -> None:
    """A set that a spent budget had made smaller does not hold where nothing is spent any more."""
    offers = {"a": {"channels": ["email"], "budget": {"per_day": 1}}, "b": {"channels": ["email"]}}
    catalog = parse_catalog(toml(minimal(channels={"email": {}}, offers=offers)))
    request = Request(now_ms=1_774_746_000_000)
    keys = budget_keys(catalog, request.windows(catalog))
    spent = dict.fromkeys(keys, (1, *((0,) * (SLOTS - 1))))
    found = eligibility(request, catalog, NO_STANDING, spent)
    assert found.situation.tree != eligibility(request, catalog).situation.tree
    assert not found.holds(NO_STANDING, {})


@given(cases())
def test_the_same_tree_is_the_same_object(case: Case) -> None:
    """Where no offer is alone in anything, a second request gets the very same tree."""
    request, catalog, _, _ = case
    request = replace(request, eligible_offers=(), excluded_offers=())
    first, second = (eligibility(request, catalog).situation.tree for _ in range(2))
    dated = any(offer.valid_from or offer.valid_until for offer in catalog.offers.values())
    assert first == second
    assert first is second or dated


@given(cases())
def test_a_rule_more_never_adds_anything(case: Case) -> None:
    """Excluding, refusing consent, a shorter time and messages before only take away."""
    request, catalog, standing, spent = case
    stricter = replace(
        request,
        excluded_channels=(*request.excluded_channels, next(iter(catalog.channels))),
        granted_consents=frozenset(),
        latest_ms=min(request.latest_ms or 2**62, request.now_ms + 3_600_000),
    )
    wide, narrow = plain(request, catalog), plain(stricter, catalog, standing, spent)
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


HOUR_MS = 3_600_000
TODAY = datetime(2026, 6, 10, tzinfo=UTC).toordinal()
SENT = Contact("a", "email", NOON_MS - HOUR_MS)
SPENT = {("offer", "a", TODAY): (9,) * 25, ("channel", "email", TODAY): (9,) * 25}
PAIR = {"a": {"channels": ["email"]}, "b": {"channels": ["email"]}}
PER_DAY = {"budget": {"per_day": 9}}
CAP = {"messages": 1, "days": 1}
OUT = ("a", "", Reason.NO_CHANNEL)


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"caps": [CAP]}, {("", "email", Reason.CAP_REACHED), OUT}),
        ({"caps": [{**CAP, "channel": "email"}]}, {("", "email", Reason.CAP_REACHED), OUT}),
        ({"caps": [{**CAP, "offer": "a"}]}, {("a", "", Reason.CAP_REACHED)}),
        (
            {"caps": [{**CAP, "offer": "a", "channel": "email"}]},
            {("a", "email", Reason.CAP_REACHED), OUT},
        ),
        (
            {"contacts": {"minimum_gap_hours": 2}},
            {("", "email", Reason.MINIMUM_GAP), OUT},
        ),
        (
            {"channels": {"email": {"minimum_gap_hours": 2}}},
            {("", "email", Reason.MINIMUM_GAP), OUT},
        ),
        ({"channels": {"email": PER_DAY}}, {("", "email", Reason.BUDGET_SPENT), OUT}),
        (
            {"offers": {"a": {"channels": ["email"], **PER_DAY}}},
            {("a", "", Reason.BUDGET_SPENT)},
        ),
        (
            {"offers": PAIR, "exclusion_groups": {"g": {"offers": ["a", "b"], "days": 1}}},
            {("b", "", Reason.EXCLUSION_GROUP)},
        ),
        (
            {"cool_downs": [{"after": "order", "days": 1}]},
            {("", "email", Reason.COOL_DOWN), OUT},
        ),
        (
            {"cool_downs": [{"after": "order", "days": 1, "same_offer": True}]},
            {("a", "", Reason.COOL_DOWN)},
        ),
        (
            {"caps": [CAP], "contacts": {"minimum_gap_hours": 2}, "channels": {"email": PER_DAY}},
            {("", "email", Reason.CAP_REACHED), OUT},
        ),
        (
            {"caps": [CAP], "channels": {"email": QUIET_NOW}},
            {("", "email", Reason.QUIET_HOURS), OUT},
        ),
    ],
)
def test_each_rule_about_contacts_has_its_reason(
    tables: dict[str, object], expected: set[tuple[str, str, Reason]]
) -> None:
    """One message and an order an hour ago, and budgets that are spent; the first rule is named."""
    catalog = parse_catalog(toml(minimal(**tables)))
    standing = standing_of(SENT, Response("order", "a", "email", NOON_MS - HOUR_MS))
    found = eligibility(Request(NOON_MS), catalog, standing, SPENT).suppressions
    assert {(item.offer, item.channel, item.reason) for item in found} == expected


def test_rules_that_leave_nothing_together_name_the_one_after_which_nothing_was_left() -> None:
    """Quiet until 14:00, a gap until 17:00 and five windows: the gap took the last ones."""
    tables = minimal(
        channels={"email": QUIET_NOW},
        contacts={"minimum_gap_hours": 6},
        send_times={"windows": 5},
    )
    found = eligibility(Request(NOON_MS), parse_catalog(toml(tables)), standing_of(SENT))
    assert Suppression("", "email", Reason.MINIMUM_GAP) in found.suppressions


def test_a_cap_closes_the_windows_it_must_and_no_others() -> None:
    """One message a day: after one at 11:00 the next windows open at 11:00 tomorrow."""
    catalog = parse_catalog(toml(minimal(caps=[CAP], send_times={"windows": 48})))
    windows = plain(Request(NOON_MS), catalog, standing_of(SENT))["a"]["email"]
    assert windows == tuple(range(23, 48))


@pytest.mark.parametrize(
    "tables",
    [
        {"channels": {"email": PER_DAY}},
        {"offers": PAIR, "exclusion_groups": {"g": {"offers": ["a", "b"], "days": 1}}},
        {"cool_downs": [{"after": "order", "days": 1}]},
    ],
)
def test_critical_never_bypasses_budgets_exclusion_and_cool_downs(
    tables: dict[str, object],
) -> None:
    """What is not a cap, a gap or a quiet hour holds for critical messages, too."""
    catalog = parse_catalog(toml(minimal(**tables)))
    standing = standing_of(SENT, Response("order", "a", "email", NOON_MS - HOUR_MS))
    found = [
        eligibility(Request(NOON_MS, critical=critical), catalog, standing, SPENT).situation.tree
        for critical in (False, True)
    ]
    assert found[0] == found[1]
    assert "b" not in [node.offer for node in found[1]]


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


def test_catalogs_of_one_version_may_list_channels_in_any_order() -> None:
    """What is kept for one of them is right for the other: masks go by name, not by place."""
    channels = {"email": QUIET_NOW, "push": {}}
    offers = {"a": {"channels": ["email"]}, "b": {"channels": ["push"]}}
    first = parse_catalog(toml(minimal(channels=channels, offers=offers)))
    turned = dict(reversed(channels.items()))
    second = parse_catalog(toml(minimal(channels=turned, offers=offers)))
    assert first.version == second.version
    assert list(first.channels) != list(second.channels)
    for catalog in (first, second):
        assert plain(Request(NOON_MS), catalog) == {"b": {"push": (0,)}}


def test_what_is_kept_does_not_grow_with_what_a_caller_names() -> None:
    """Consents that no channel asks for, and names listed again and again, are not kept."""
    catalog = parse_catalog(toml(minimal(channels={"email": {"consent": "ads"}})))
    first = plain(Request(NOON_MS, granted_consents=frozenset(["ads"])), catalog)
    kept = eligible_tree._open_windows.cache_info().currsize
    for turn in range(50):
        consents = frozenset(["ads", *(f"consent {turn} {each}" for each in range(20))])
        request = Request(NOON_MS, granted_consents=consents, eligible_channels=("email",) * turn)
        assert plain(request, catalog) == first
    assert eligible_tree._open_windows.cache_info().currsize == kept
