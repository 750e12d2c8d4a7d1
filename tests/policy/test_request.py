"""Requests: what only the catalog and the time zone data can tell is checked, in few words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.catalog import NO_SEND, Catalog, parse_catalog
from policy.errors import RequestError
from policy.request import AHEAD_DAYS_MAX, Request, check_request
from tests.policy.catalogs import full, minimal, toml
from tests.policy.situations import catalogs, requests

NOW_MS = 1_780_000_000_000
DAY_MS = 86_400_000
MEGABYTE = "x" * 1_000_000

REFUSED: list[tuple[Request, str, str]] = [
    (Request(NOW_MS, time_zone="Europe/Atlantis"), "UNKNOWN_TIME_ZONE", "time_zone"),
    (Request(NOW_MS, time_zone=MEGABYTE), "UNKNOWN_TIME_ZONE", "time_zone"),
    (Request(NOW_MS, features={"": True}), "INVALID_FIELD", "features name"),
    (Request(NOW_MS, features={"x": float("nan")}), "INVALID_FIELD", "features[x]"),
    (
        Request(NOW_MS, offer_features={"news": {"x": MEGABYTE}}),
        "INVALID_FIELD",
        "offer_features[news][x]",
    ),
    (Request(NOW_MS, offer_features={"olds": {}}), "UNKNOWN_OFFER", "offer_features[olds]"),
    (
        Request(NOW_MS, offer_features={MEGABYTE: {}}),
        "UNKNOWN_OFFER",
        f"offer_features[{MEGABYTE[:64]}]",
    ),
    (Request(NOW_MS, eligible_offers=("news", "olds")), "UNKNOWN_OFFER", "eligible_offers[1]"),
    (Request(NOW_MS, excluded_offers=(MEGABYTE,)), "UNKNOWN_OFFER", "excluded_offers[0]"),
    (Request(NOW_MS, eligible_channels=("fax",)), "UNKNOWN_CHANNEL", "eligible_channels[0]"),
    (Request(NOW_MS, excluded_channels=("sms", "")), "UNKNOWN_CHANNEL", "excluded_channels[1]"),
    (Request(NOW_MS, excluded_channels=("none",)), "UNKNOWN_CHANNEL", "excluded_channels[0]"),
    (
        Request(NOW_MS, earliest_ms=NOW_MS + AHEAD_DAYS_MAX * DAY_MS + 1),
        "INVALID_FIELD",
        "earliest_send_time",
    ),
    (
        Request(NOW_MS, earliest_ms=NOW_MS + 2, latest_ms=NOW_MS + 1),
        "INVALID_FIELD",
        "latest_send_time",
    ),
]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The catalog with everything."""
    return full()


@pytest.mark.parametrize(("request_", "reason", "field"), REFUSED)
def test_what_cannot_be_answered_is_refused(
    catalog: Catalog, request_: Request, reason: str, field: str
) -> None:
    """The error has its documented reason, names the field, and is short whatever was sent."""
    with pytest.raises(RequestError) as caught:
        check_request(request_, catalog)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert len(str(caught.value)) < 400


@given(catalogs().flatmap(lambda catalog: st.tuples(requests(catalog), st.just(catalog))))
def test_what_the_catalog_can_answer_is_accepted(case: tuple[Request, Catalog]) -> None:
    """Known names, plain features and times in order are no reason to refuse."""
    check_request(*case)


def test_no_send_is_an_offer_where_the_catalog_has_it(catalog: Catalog) -> None:
    """It may be listed and have features like any other; without its table it is unknown."""
    asked = Request(NOW_MS, excluded_offers=(NO_SEND,), offer_features={NO_SEND: {"x": 1.0}})
    check_request(asked, catalog)
    with pytest.raises(RequestError, match="not in the catalog"):
        check_request(asked, parse_catalog(toml(minimal())))


def test_the_furthest_send_time_is_a_year_ahead(catalog: Catalog) -> None:
    """Exactly the limit is fine, and so is a latest send time that has passed."""
    check_request(Request(NOW_MS, earliest_ms=NOW_MS + AHEAD_DAYS_MAX * DAY_MS), catalog)
    check_request(Request(NOW_MS, latest_ms=NOW_MS - DAY_MS), catalog)
