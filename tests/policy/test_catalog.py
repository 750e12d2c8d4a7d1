"""Catalogs: every mistake has its place and line, and a version is a meaning."""

import json
import math
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime, time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policy.catalog import (
    NO_CHANNEL,
    NO_SEND,
    Catalog,
    load_catalog,
    parse_catalog,
)
from policy.errors import CatalogError, Problem
from policy.features import FEATURES_MAX
from tests.policy.catalogs import FULL, MINIMAL, full, minimal, names, toml


def problems_of(text: str) -> list[Problem]:
    """What is wrong with a catalog's text."""
    with pytest.raises(CatalogError) as caught:
        parse_catalog(text)
    return caught.value.problems


def version_of(text: str) -> str:
    """The version of a catalog's text."""
    return parse_catalog(text).version


def test_a_catalog_holds_what_its_file_says() -> None:
    """Names, rules, times, features and shares arrive as they were written."""
    catalog = full()
    email, spring = catalog.channels["email"], catalog.offers["spring"]
    assert (list(catalog.offers), list(catalog.channels)) == (
        ["spring", "loyal", "news"],
        ["email", "push", "sms"],
    )
    assert email.consent == "marketing"
    assert email.quiet_hours is not None
    assert (email.quiet_hours.start, email.quiet_hours.end) == (time(21), time(7, 30))
    assert spring.valid_until == datetime(2026, 5, 31, 22, tzinfo=UTC)
    assert spring.features == {"department": "garden", "price": 19.5, "sale": True}
    assert catalog.reward.weights == {"click": 0.1, "order": 1.0}
    assert (catalog.traffic.random, catalog.exploration.floor) == (0.05, 0.02)
    assert catalog.no_send is not None


def test_a_catalog_cannot_be_changed() -> None:
    """What a version was made from stays as it is."""
    with pytest.raises(ValueError, match="frozen"):
        full().name = "other"


def test_tokens_cover_every_offer_and_channel() -> None:
    """No send and its channel have tokens too; features are part of them."""
    catalog = full()
    assert set(catalog.offer_tokens) == {"spring", "loyal", "news", NO_SEND}
    assert set(catalog.channel_tokens) == {"email", "push", "sms", NO_CHANNEL}
    length = float(np.float32(math.log(4.0)))
    assert catalog.offer_tokens["news"] == (("_offer=news", 1.0), ("nlength", length))
    assert catalog.channel_tokens["email"] == (("_channel=email", 1.0), ("trich", 1.0))
    assert catalog.channel_tokens[NO_CHANNEL] == (("_channel=none", 1.0),)


MISTAKES: list[tuple[str, str, str, str, str]] = [
    # What is replaced in FULL, by what, the place, what its line begins with, a part of the text.
    ("schema = 1", "schema = 2", "schema", "schema", "must be 1"),
    ('name = "shop"', 'name = "my shop"', "name", "name", "letters, digits"),
    ('name = "shop"', "name = 7", "name", "name", "text in quotes"),
    (
        "[channels.sms]",
        "[channels.sms]\nconset = 1",
        "channels.sms.conset",
        "conset",
        "not a known key",
    ),
    (
        "[channels.sms]",
        '[channels."s m s"]',
        "channels.s m s",
        '[channels."s m s"]',
        "letters, digits",
    ),
    ('"marketing"', '""', "channels.email.consent", "consent", "must not be empty"),
    ('["sunday"]', '["sunday", "sun"]', "channels.email.quiet_days[1]", "quiet_days", "'monday'"),
    (
        "start = 21:00:00",
        "start = 21:07:00",
        "channels.email.quiet_hours.start",
        "start",
        "multiple",
    ),
    ("start = 21:00:00", "start = 21", "channels.email.quiet_hours.start", "start", "time of day"),
    (
        "start = 21:00:00",
        'start = "21:00Z"',
        "channels.email.quiet_hours.start",
        "start",
        "no zone",
    ),
    ("start = 21:00:00", 'start = "24:00"', "channels.email.quiet_hours.start", "start", "00:00"),
    ("start = 21:00:00", 'start = "late"', "channels.email.quiet_hours.start", "start", "time"),
    (
        "start = 21:00:00",
        "start = 07:30:00",
        "channels.email.quiet_hours",
        "[channels.email.quiet_hours]",
        "are equal",
    ),
    (
        "end = 07:30:00",
        "",
        "channels.email.quiet_hours.end",
        "[channels.email.quiet_hours]",
        "required",
    ),
    ('["email", "push", "sms"]', "[]", "offers.spring.channels", "channels", "at least one"),
    (
        '["email", "push", "sms"]',
        '["email", "fax"]',
        "offers.spring.channels[1]",
        "channels",
        "'fax'",
    ),
    ('["email", "push", "sms"]', '["sms", "sms"]', "offers.spring.channels", "channels", "twice"),
    (
        "2026-03-01T00:00:00Z",
        "2026-03-01T00:00:00",
        "offers.spring.valid_from",
        "valid_from",
        "offset",
    ),
    ("2026-03-01T00:00:00Z", "2026-03-01", "offers.spring.valid_from", "valid_from", "offset"),
    (
        "2026-03-01T00:00:00Z",
        "1772323200",
        "offers.spring.valid_from",
        "valid_from",
        "date and time",
    ),
    (
        "2026-03-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "offers.spring.valid_from",
        "valid_from",
        "too far",
    ),
    (
        "2026-06-01T00:00:00+02:00",
        "9999-12-31T23:00:00-12:00",
        "offers.spring.valid_until",
        "valid_until",
        "too far",
    ),
    (
        "2026-03-01T00:00:00Z",
        "2026-06-01T00:00:00Z",
        "offers.spring",
        "[offers.spring]",
        "before valid_until",
    ),
    ("price = 19.5", "price = nan", "offers.spring.features.price", "price", "not finite"),
    ("price = 19.5", "price = inf", "offers.spring.features.price", "price", "not finite"),
    ("price = 19.5", "price = 1e10", "offers.spring.features.price", "price", "beyond"),
    ("price = 19.5", f"price = 1{'0' * 400}", "offers.spring.features.price", "price", "beyond"),
    ("price = 19.5", "price = [1]", "offers.spring.features.price", "price", "text, a number"),
    (
        "price = 19.5",
        "price = 2026-03-01",
        "offers.spring.features.price",
        "price",
        "text, a number",
    ),
    ("price = 19.5", 'price = ""', "offers.spring.features.price", "price", "empty"),
    (
        "price = 19.5",
        f'price = "{"x" * 257}"',
        "offers.spring.features.price",
        "price",
        "257 bytes",
    ),
    ("price = 19.5", '"" = 19.5', "offers.spring.features.", '""', "empty"),
    ("step_minutes = 60", "step_minutes = 7", "send_times.step_minutes", "step_minutes", "15"),
    (
        "step_minutes = 60",
        "step_minutes = 50",
        "send_times.step_minutes",
        "step_minutes",
        "multiple of 15",
    ),
    (
        "step_minutes = 60",
        "step_minutes = 2880",
        "send_times.step_minutes",
        "step_minutes",
        "1,440",
    ),
    (
        "step_minutes = 60",
        "step_minutes = true",
        "send_times.step_minutes",
        "step_minutes",
        "whole number",
    ),
    ("windows = 24", "windows = 0", "send_times.windows", "windows", "1"),
    ("windows = 24", "windows = 169", "send_times.windows", "windows", "168"),
    ("Europe/Berlin", "Europe/Atlantis", "send_times.time_zone", "time_zone", "IANA"),
    ("Europe/Berlin", "localtime", "send_times.time_zone", "time_zone", "IANA"),
    ("Europe/Berlin", "../etc/passwd", "send_times.time_zone", "time_zone", "IANA"),
    ('aggregation = "sum"', 'aggregation = "mean"', "reward.aggregation", "aggregation", "'sum'"),
    (
        "attribution_days = 14.0",
        "attribution_days = 0",
        "reward.attribution_days",
        "attribution_days",
        "0",
    ),
    ("default = 0.0", 'default = "none"', "reward.default", "default", "number"),
    ("click = 0.1", 'click = "0.1"', "reward.weights.click", "click", "number"),
    ("click = 0.1", "click = true", "reward.weights.click", "click", "number"),
    ("click = 0.1", "click = nan", "reward.weights.click", "click", "finite"),
    ("click = 0.1", f"click = 1{'0' * 400}", "reward.weights.click", "click", "number"),
    ("[reward.weights]\nclick = 0.1\norder = 1.0", "", "reward.weights", "[reward]", "required"),
    ('name = "squarecb"', 'name = "thompson"', "exploration.name", "name", "'squarecb'"),
    ("floor = 0.02", "floor = 0", "exploration.floor", "floor", "at least 0.000001"),
    ("floor = 0.02", "gamma_scale = inf", "exploration.gamma_scale", "gamma_scale", "finite"),
    ("floor = 0.02", 'floor = "0.02"', "exploration.floor", "floor", "number"),
    ("random = 0.05", "random = 1.5", "traffic.random", "random", "1"),
    ("random = 0.05", "random = 0.9", "traffic", "[traffic]", "exceed 1"),
    ('offer = "loyal"', 'offer = "royal"', "baseline.offer", "offer", "'royal'"),
    ('channel = "email"', 'channel = "push"', "baseline.channel", "channel", "'push'"),
    (
        '[baseline]\noffer = "loyal"\nchannel = "email"',
        "",
        "traffic.baseline",
        "baseline",
        "[baseline]",
    ),
]


@pytest.mark.parametrize(("old", "new", "place", "line", "text"), MISTAKES)
def test_a_mistake_is_found_with_its_place_and_line(
    old: str, new: str, place: str, line: str, text: str
) -> None:
    """One mistake is one problem, at the field that is wrong, with a hint at what is right."""
    assert FULL.count(old) == 1
    damaged = FULL.replace(old, new)
    (problem,) = problems_of(damaged)
    assert problem.place == place
    assert problem.line is not None
    assert damaged.splitlines()[problem.line - 1].startswith(line)
    assert text in problem.text
    assert len(str(problem)) < 400


def test_all_mistakes_are_reported_at_once() -> None:
    """Whoever mends a catalog sees everything that is wrong, not one thing at a time."""
    text = FULL.replace("price = 19.5", "price = nan").replace("windows = 24", "windows = 0")
    assert {problem.place for problem in problems_of(text)} == {
        "offers.spring.features.price",
        "send_times.windows",
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("schema = 1\nname = shop\n", 2),
        ("schema = 1\nschema = 1\n", 2),
        ('schema = 1\nname = "\n', 2),
        ("\0", 1),
        ("a = 1\n# \x07", 2),
        ('x = "\\ud800"', 1),
    ],
)
def test_text_that_is_not_toml_gives_its_line(text: str, line: int) -> None:
    """The line of the first character that is not TOML is named."""
    (problem,) = problems_of(text)
    assert (problem.place, problem.line) == ("", line)
    assert "not TOML" in problem.text


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 5_000,
        "x = 1" + "0" * 5_000,
        "x = " + "{a=" * 5_000,
        "a" + ".a" * 5_000 + " = 1",
        MINIMAL + "# \udc80",
        MINIMAL + '[no_send.features]\nx = "\ud800"',
        MINIMAL + '[no_send.features]\n"\ud800" = 1',
        '"\ud800" = 1',
    ],
)
def test_hostile_text_is_a_catalog_error(text: str) -> None:
    """Depth, length and what is no Unicode are mistakes like any other; messages can be printed."""
    for problem in problems_of(text):
        str(problem).encode()


@given(st.text(max_size=200))
@example("[" * 3_000)
def test_no_text_breaks_the_parser(text: str) -> None:
    """Any text at all is a catalog or a CatalogError."""
    with pytest.raises(CatalogError):
        parse_catalog(text)


@given(st.binary(max_size=200))
@example(b"\xff\xfe")
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Any file at all is a catalog or a CatalogError that names the file."""
    path = tmp_path_factory.mktemp("catalog") / "catalog.toml"
    path.write_bytes(data)
    with pytest.raises(CatalogError) as caught:
        load_catalog(path)
    assert str(path) in str(caught.value)


@given(st.data())
def test_no_damage_breaks_the_parser(data: st.DataObject) -> None:
    """A good catalog with a piece cut out, doubled or overwritten is read or refused, no more."""
    start = data.draw(st.integers(0, len(FULL)))
    end = data.draw(st.integers(start, min(start + 60, len(FULL))))
    piece = data.draw(st.one_of(st.text(max_size=8), st.sampled_from([FULL[start:end] * 2, ""])))
    try:
        parse_catalog(FULL[:start] + piece + FULL[end:]).version.encode()
    except CatalogError as error:
        str(error).encode()


leaves = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.times(),
    st.sampled_from(["24:00", "email", "a", "no_send", "Europe/Berlin", 10**400]),
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
PATHS = [
    ("name",),
    ("channels",),
    ("channels", "email"),
    ("channels", "email", "consent"),
    ("channels", "email", "quiet_hours"),
    ("channels", "email", "quiet_hours", "start"),
    ("channels", "email", "quiet_hours", "end"),
    ("channels", "email", "quiet_days"),
    ("channels", "email", "features"),
    ("offers", "a"),
    ("offers", "a", "channels"),
    ("offers", "a", "valid_from"),
    ("offers", "a", "valid_until"),
    ("offers", "a", "features"),
    ("no_send",),
    ("send_times", "step_minutes"),
    ("send_times", "time_zone"),
    ("reward", "weights"),
    ("reward", "default"),
    ("exploration", "floor"),
    ("traffic", "random"),
    ("baseline", "offer"),
]


@given(st.sampled_from(PATHS), trees)
def test_no_value_anywhere_breaks_the_parser(path: tuple[str, ...], value: object) -> None:
    """Whatever stands in place of a value is read or refused with the place of it."""
    tables = json.loads(json.dumps(minimal()))
    table = tables
    for part in path[:-1]:
        table = table.setdefault(part, {})
    table[path[-1]] = value
    refused: list[Problem] = []
    try:
        parse_catalog(toml(tables)).version.encode()
    except CatalogError as error:
        refused = error.problems
    for problem in refused:
        assert problem.line is not None or problem.place in {"", "no_send"}
        str(problem).encode()


def test_a_file_that_cannot_be_read_is_a_catalog_error(tmp_path: Path) -> None:
    """A missing file and a directory are told by their path."""
    for path in (tmp_path, tmp_path / "missing.toml"):
        with pytest.raises(CatalogError, match="cannot be read"):
            load_catalog(path)


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    """Separators that are no line ends in TOML, such as U+2028, do not shift the line."""
    text = "# \u2028\u2028 \x85\n" + MINIMAL.replace("click = 1", "click = true")
    assert [problem.line for problem in problems_of(text)] == [8]


def test_thousands_of_mistakes_are_told_in_one_pass() -> None:
    """A catalog whose every offer is wrong gives a problem with its own line for each."""
    offers = "".join(f'[offers.o{index}]\nchannels = ["fax"]\n' for index in range(5_000))
    found = problems_of(MINIMAL + offers)
    assert [problem.line for problem in found] == [9 + 2 * index for index in range(5_000)]


@pytest.mark.parametrize("line", ["[" + " " * 50_000, "[" * 50_000, "x" * 50_000, '"' * 50_001])
def test_a_long_line_costs_no_more_than_its_length(line: str) -> None:
    """Finding lines never falls into a regular expression's backtracking."""
    text = f"{MINIMAL}[no_send]\nnote = '''\n{line}\n'''\n"
    assert [problem.place for problem in problems_of(text)] == ["no_send.note"]


@pytest.mark.parametrize(("table", "name"), [("offers", NO_SEND), ("channels", NO_CHANNEL)])
def test_reserved_names_are_refused(table: str, name: str) -> None:
    """`no_send` and `none` belong to us; the message says how not to send."""
    tables = minimal()
    tables[table][name] = {"channels": ["email"]} if table == "offers" else {}
    (problem,) = problems_of(toml(tables))
    assert problem.place == f"{table}.{name}"
    assert "reserved" in problem.text


def test_the_baseline_may_be_not_to_send() -> None:
    """`no_send` is a rule where the catalog has it, and dangling where it has not."""
    tables = minimal(baseline={"offer": NO_SEND})
    assert [problem.place for problem in problems_of(toml(tables))] == ["baseline.offer"]
    assert parse_catalog(toml({**tables, "no_send": {}})).baseline is not None


def test_shares_may_add_up_to_one() -> None:
    """Rounding in 0.7 + 0.2 + 0.1 and its like refuses nobody."""
    for random in range(0, 101, 5):
        for holdout in range(0, 101 - random, 5):
            shares = (random / 100, holdout / 100, (100 - random - holdout) / 100)
            traffic = dict(zip(("random", "holdout", "baseline"), shares, strict=True))
            parse_catalog(toml(minimal(traffic=traffic, baseline={"offer": "a"})))


def test_a_table_may_not_have_too_many_features() -> None:
    """The limit of a request holds for the catalog as well."""
    features = {f"f{index}": True for index in range(FEATURES_MAX + 1)}
    (problem,) = problems_of(toml(minimal(no_send={"features": features})))
    assert problem.place == "no_send.features"
    assert "256" in problem.text


def test_the_end_of_the_day_is_2400() -> None:
    """Quiet hours may end with the day."""
    quiet_hours = {"start": time(22), "end": "24:00"}
    catalog = parse_catalog(toml(minimal(channels={"email": {"quiet_hours": quiet_hours}})))
    found = catalog.channels["email"].quiet_hours
    assert found is not None
    assert (found.start, found.end) == (time(22), time.max)


def shuffled(value: object, shuffle: Callable[[list[str]], list[str]]) -> object:
    """The same tables with their keys in another order, but for offers, whose order counts."""
    if not isinstance(value, dict):
        return value
    tables = {key: shuffled(value[key], shuffle) for key in shuffle(list(value))}
    if "offers" in value and isinstance(tables["offers"], dict):
        tables["offers"] = {key: tables["offers"][key] for key in value["offers"]}
    return tables


LARGE: dict[str, Any] = minimal(
    channels={
        "email": {"quiet_days": ["sunday", "saturday"], "consent": "yes"},
        "push": {"features": {"b": 1, "a": 2.5, "c": "x"}},
    },
    offers={
        "a": {"channels": ["email", "push"], "features": {"z": 0, "y": True, "x": "1"}},
        "b": {"channels": ["push"], "valid_from": datetime(2026, 1, 1, tzinfo=UTC)},
    },
    reward={"weights": {"order": 10, "click": 1}, "default": 0},
    traffic={"random": 0.5},
)


@given(st.randoms(use_true_random=False))
def test_the_version_does_not_depend_on_the_layout(random: Random) -> None:
    """Tables and keys in another order are the same catalog."""

    def shuffle(keys: list[str]) -> list[str]:
        return random.sample(keys, len(keys))

    other = shuffled(LARGE, shuffle)
    assert isinstance(other, dict)
    assert version_of(toml(other)) == version_of(toml(LARGE))


SAME: list[tuple[str, str]] = [
    ("click = 1", "click = 1.0"),
    ("click = 1", "click = 1e0"),
    ("click = 1", "'click' = 1 # one"),
    ("[reward.weights]", "[reward]\ndefault = 0\n[reward.weights]"),
    ("[reward.weights]", "[reward]\ndefault = -0.0\n[reward.weights]"),
    ("[reward.weights]", "[send_times]\nwindows = 1\n[reward.weights]"),
    ("[reward.weights]", "[exploration]\nfloor = 0.005\n[reward.weights]"),
    ("[reward.weights]", "[traffic]\n[reward.weights]"),
    ("[channels.email]", "[channels.email]\nquiet_days = []"),
    ("[channels.email]", "\n\n  [ channels . email ]\n"),
    ("[channels.email]", "[channels.email]\nfeatures = {}"),
    ("\n", "\r\n"),
]


@pytest.mark.parametrize(("old", "new"), SAME)
def test_the_version_is_that_of_the_meaning(old: str, new: str) -> None:
    """Comments, space, 1 for 1.0 and defaults spelt out change nothing."""
    text = MINIMAL.replace(old, new)
    assert text != MINIMAL
    assert version_of(text) == version_of(MINIMAL)


def test_times_in_other_zones_are_the_same_meaning() -> None:
    """A moment is a moment, whatever offset it is written with."""
    ours = FULL.replace("2026-06-01T00:00:00+02:00", "2026-05-31T22:00:00Z")
    assert version_of(ours) == version_of(FULL)


def test_the_order_and_repetition_of_quiet_days_mean_nothing() -> None:
    """Days are a set."""
    left = minimal(channels={"email": {"quiet_days": ["sunday", "saturday", "sunday"]}})
    right = minimal(channels={"email": {"quiet_days": ["saturday", "sunday"]}})
    assert version_of(toml(left)) == version_of(toml(right))


DIFFERENT: list[tuple[str, str]] = [
    ('name = "shop"', 'name = "shops"'),
    ('consent = "marketing"', 'consent = "news"'),
    ("quiet_days = [", 'quiet_days = ["monday", '),
    ("end = 07:30:00", "end = 07:45:00"),
    ("rich = true", "rich = false"),
    ("rich = true", 'rich = "true"'),
    ("length = 3", 'length = "3"'),
    ("length = 3", "length = 3.5"),
    ('["email", "push", "sms"]', '["push", "email", "sms"]'),
    ("valid_from = 2026-03-01T00:00:00Z\n", ""),
    ("[no_send]\n", ""),
    ("[no_send]\n", "[no_send]\nfeatures = { quiet = true }\n"),
    ("windows = 24", "windows = 25"),
    ('time_zone = "Europe/Berlin"', 'time_zone = "Europe/Paris"'),
    ('aggregation = "sum"', 'aggregation = "max"'),
    ("default = 0.0", "default = 0.5"),
    ("order = 1.0", "order = 1.0000000000000002"),
    ("floor = 0.02", "floor = 0.03"),
    ("holdout = 0.05", "holdout = 0.06"),
    ('\n[baseline]\noffer = "loyal"\nchannel = "email"', '\n[baseline]\noffer = "loyal"'),
]


@pytest.mark.parametrize(("old", "new"), DIFFERENT)
def test_another_meaning_is_another_version(old: str, new: str) -> None:
    """Every setting counts."""
    assert FULL.count(old) == 1
    assert version_of(FULL.replace(old, new)) != version_of(FULL)


def test_the_order_of_offers_is_a_meaning() -> None:
    """Offers are drawn in their order, so another order makes other choices of the same draws."""
    offer = {"channels": ["email"]}
    left = toml(minimal(offers={"a": offer, "b": offer}))
    right = toml(minimal(offers={"b": offer, "a": offer}))
    assert version_of(left) != version_of(right)


def test_versions_stay_the_same_from_release_to_release() -> None:
    """These versions are in logs; if this test fails, old decisions can no longer be verified."""
    assert (version_of(MINIMAL), version_of(FULL)) == PINNED


PINNED = ("catalog-e915148f81a1428c", "catalog-53e4fdfaef4a68fd")


@given(st.lists(names, min_size=1, max_size=5, unique=True))
def test_every_plain_name_is_a_name(found: list[str]) -> None:
    """Letters, digits, `_`, `.` and `-` name offers and channels; errors name them in full."""
    channels: dict[str, Any] = {name: {} for name in found}
    offers = {name: {"channels": found} for name in found}
    catalog = parse_catalog(toml(minimal(channels=channels, offers=offers)))
    assert isinstance(catalog, Catalog)
    assert list(catalog.offers) == found
    offers[found[-1]] = {"channels": ["fax!"]}
    (problem,) = problems_of(toml(minimal(channels=channels, offers=offers)))
    assert problem.place == f"offers.{found[-1]}.channels[0]"


def test_problems_read_well() -> None:
    """What a person sees names file, line, place and remedy."""
    with pytest.raises(CatalogError) as caught:
        parse_catalog(MINIMAL.replace('["email"]', '["emial"]'), "shop.toml")
    assert str(caught.value) == textwrap.dedent("""\
        shop.toml is not a valid catalog:
          line 5: offers.a.channels[0]: 'emial' is not among [channels]""")
