"""History features: what a subject got and did, by channel, as of the decision."""

from typing import Any

import pytest
from hypothesis import given

from policy.catalog import Catalog, parse_catalog
from policy.errors import RequestError
from policy.features import Features, check_features
from policy.history import with_history
from policy.request import Request, check_request
from policy.standing import NO_STANDING, listened, reads_standing
from tests.policy.catalogs import full, minimal, toml
from tests.policy.standings import Contact, Response, standing_of, standings

DAY_MS = 86_400_000
NOW_MS = 1_800_000_000_000
CHANNELS: dict[str, Any] = {"email": {}, "push": {}}
HISTORY = {"opens": ["open"], "clicks": ["click"], "conversions": ["order", "renewal"]}


def shop(**tables: Any) -> Catalog:  # noqa: ANN401 - tables of every kind
    """A small catalog with a history."""
    return parse_catalog(toml(minimal(**{"history": HISTORY, "channels": CHANNELS, **tables})))


def features_of(*events: Contact | Response, **tables: Any) -> Features:  # noqa: ANN401
    """The history features of a subject now."""
    return with_history({}, shop(**tables), standing_of(*events), NOW_MS)


def days_ago(days: float) -> int:
    """A moment before now."""
    return NOW_MS - round(days * DAY_MS)


def test_messages_and_responses_count_by_channel_and_age() -> None:
    """Seven and thirty days back, not to the moment itself; older ones count for nothing."""
    found = features_of(
        Contact("a", "email", days_ago(1)),
        Contact("b", "email", days_ago(7)),
        Contact("a", "push", days_ago(2.5)),
        Contact("a", "push", days_ago(30)),
        Response("open", "a", "email", days_ago(0.5)),
        Response("click", "a", "email", days_ago(8)),
        Response("order", "b", "email", days_ago(1)),
        Response("renewal", "b", "email", days_ago(1)),
        Response("visit", "b", "email", days_ago(1)),
    )
    assert found == {
        "history.sends_7d.email": 1.0,
        "history.sends_30d.email": 2.0,
        "history.sends_7d.push": 1.0,
        "history.sends_30d.push": 1.0,
        "history.opens_7d.email": 1.0,
        "history.opens_30d.email": 1.0,
        "history.clicks_30d.email": 1.0,
        "history.conversions_7d.email": 2.0,
        "history.conversions_30d.email": 2.0,
        "history.days_since_send": 1.0,
        "history.last_channel": "email",
    }


def test_channels_that_the_catalog_lacks_have_no_counts() -> None:
    """Whatever a report says was really sent on: a thousand names are not two thousand features."""
    names = [f"channel-{number}" for number in range(1000)]
    odd: list[Contact | Response] = [Contact("a", name, days_ago(2)) for name in names]
    odd += [Response("click", "a", name, days_ago(1)) for name in names]
    known = Contact("a", "email", days_ago(3))
    assert features_of(*odd, known) == {
        "history.sends_7d.email": 1.0,
        "history.sends_30d.email": 1.0,
        "history.days_since_send": 2.0,
        "history.last_channel": "channel-999",
    }


def test_what_is_scheduled_is_no_message_yet() -> None:
    """Only messages whose send time has come count, the one of this moment included."""
    assert features_of(Contact("a", "email", NOW_MS + 1)) == {}
    assert features_of(Contact("a", "email", NOW_MS))["history.days_since_send"] == 0.0


def test_a_message_that_was_never_confirmed_counts_no_more() -> None:
    """Where the catalog wants confirmations in time, what had none was no message."""
    tables: dict[str, Any] = {"contacts": {"confirm_within_hours": 24}}
    late = Contact("a", "email", days_ago(1))
    assert features_of(late, **tables) == {}
    assert features_of(Contact("a", "email", days_ago(1), confirmed=True), **tables)
    assert features_of(Contact("a", "email", days_ago(1) + 1), **tables)


@given(standings(NOW_MS))
def test_features_are_valid_and_beside_those_of_the_request(standing: Any) -> None:  # noqa: ANN401
    """Whatever happened, names and values are ones that features may have, and none is zero."""
    found = with_history({"plan": "gold"}, shop(), standing, NOW_MS)
    assert found["plan"] == "gold"
    check_features(found, "features")
    counts = {name: value for name, value in found.items() if "_7d." in name or "_30d." in name}
    assert all(value >= 1.0 for value in counts.values() if isinstance(value, float))


def test_without_history_features_stay_as_they_are() -> None:
    """Catalogs without the table, and subjects without a standing, get the request's features."""
    asked = {"plan": "gold"}
    sent = standing_of(Contact("a", "email", days_ago(1)))
    assert with_history(asked, parse_catalog(toml(minimal())), sent, NOW_MS) is asked
    assert with_history(asked, shop(), NO_STANDING, NOW_MS) is asked


@pytest.mark.parametrize("name", ["history.", "history.sends_7d.email", "history.mine"])
def test_callers_cannot_use_its_names(name: str) -> None:
    """A feature of the request whose name begins with `history.` is refused."""
    with pytest.raises(RequestError) as caught:
        check_request(Request(NOW_MS, features={name: 1.0}), full())
    assert (caught.value.reason, caught.value.field) == ("INVALID_FIELD", f"features[{name}]")
    check_request(Request(NOW_MS, features={"history": 1.0, "historic.x": 2.0}), full())


def test_a_catalog_says_what_it_listens_to() -> None:
    """Rewards of history and cool-downs are listened to; without either, none."""
    cool_downs = [{"after": "unsubscribe", "days": 1}]
    names = {"open", "click", "order", "renewal", "unsubscribe"}
    assert listened(shop(cool_downs=cool_downs)) == names
    assert listened(full()) == frozenset()


@pytest.mark.parametrize(
    "tables",
    [
        {"history": {}},
        {"caps": [{"messages": 1, "days": 1}]},
        {"cool_downs": [{"after": "order", "days": 1}]},
        {"contacts": {"minimum_gap_hours": 1}},
        {"channels": {"email": {"minimum_gap_hours": 1}}},
    ],
)
def test_what_depends_on_the_subject_reads_its_standing(tables: dict[str, Any]) -> None:
    """Each rule about a subject makes its catalog read; those without any do not."""
    assert reads_standing(parse_catalog(toml(minimal(**tables))))
    assert not reads_standing(full())
    assert not reads_standing(parse_catalog(toml(minimal(contacts={"confirm_within_hours": 1}))))
