"""The example of a contact policy does what its comments say, for one customer over some weeks."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from decisionlog.ids import from_text
from policy.catalog import load_catalog
from policy.crosses import crosses_of
from sendwise.v1 import common_pb2 as common
from sendwise.v1 import decision_service_pb2 as decision_api
from sendwise.v1 import feedback_service_pb2 as feedback_api
from tests.server.service import Service, delivery, reward, running

EXAMPLE = Path(__file__).parents[2] / "examples/rules/catalog.toml"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ALL_CONSENTS = ["marketing", "push", "sms"]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Service]:
    """The example's shop; it is Monday, 11:07 in Berlin."""
    with running(tmp_path / "data", EXAMPLE.read_text(encoding="utf-8")) as service:
        yield service


def ask(shop: Service, *offers: str, **fields: Any) -> decision_api.DecideResponse:  # noqa: ANN401 - any of its fields
    """A choice among some offers for a customer who has given every consent."""
    return shop.decide(
        granted_consents=ALL_CONSENTS, eligible_offers=offers, explain=True, **fields
    )


def reasons(response: decision_api.DecideResponse) -> dict[tuple[str, str], str]:
    """Why what was suppressed, without what the caller left out."""
    name = common.SuppressionReason.Name
    return {
        (one.offer, one.channel): name(one.reason).removeprefix("SUPPRESSION_REASON_")
        for one in response.suppressions
        if one.reason != common.SUPPRESSION_REASON_CALLER
    }


def deliver(shop: Service, response: decision_api.DecideResponse) -> int:
    """Reports a message as sent, and lets the time of its sending come."""
    send_time_ms = response.send.send_time.ToMilliseconds()
    shop.feedback.ReportDelivery(delivery(response.decision_id, feedback_api.DELIVERY_STATUS_SENT))
    shop.clock.now_ms = max(shop.clock.now_ms, send_time_ms)
    return send_time_ms


def test_the_example_is_valid_and_reads_what_it_needs() -> None:
    """It uses every kind of rule, and says what a model crosses."""
    catalog = load_catalog(EXAMPLE)
    assert all((catalog.caps, catalog.exclusion_groups, catalog.cool_downs, catalog.history))
    assert catalog.contacts.minimum_gap_hours
    assert catalog.offers["voucher"].budget
    assert catalog.channels["sms"].budget
    assert crosses_of(catalog.model.crosses) == ("co", "cn", "cw", "on")


def test_nobody_hears_too_often(shop: Service) -> None:
    """A month of asking every six hours: gaps, the week's cap and that of SMS hold throughout."""
    sent: list[tuple[int, str]] = []
    end_ms = shop.clock.now_ms + 30 * DAY_MS
    while shop.clock.now_ms < end_ms:
        response = ask(shop, "welcome", "sale", "voucher")
        if response.HasField("send"):
            sent.append((deliver(shop, response), response.send.channel))
        shop.clock.now_ms += 6 * HOUR_MS
    times = sorted(moment for moment, _ in sent)
    assert len(times) >= 8
    assert min(later - one for one, later in itertools.pairwise(times)) >= 20 * HOUR_MS
    assert min(later - one for one, later in zip(times, times[3:], strict=False)) >= 7 * DAY_MS
    texts = sorted(moment for moment, channel in sent if channel == "sms")
    assert all(later - one >= 30 * DAY_MS for one, later in itertools.pairwise(texts))


def test_one_discount_excludes_the_other(shop: Service) -> None:
    """A week after the sale there is no voucher; two weeks after it there is."""
    deliver(shop, ask(shop, "sale"))
    shop.clock.now_ms += 7 * DAY_MS
    assert reasons(ask(shop, "voucher"))["voucher", ""] == "EXCLUSION_GROUP"
    shop.clock.now_ms += 7 * DAY_MS
    assert ask(shop, "voucher").HasField("send")


def test_whoever_bought_is_left_alone_with_discounts(shop: Service) -> None:
    """For a week after a purchase there is no discount, but everything else."""
    first = ask(shop, "welcome")
    deliver(shop, first)
    shop.feedback.ReportReward(reward(first.decision_id, name="purchase"))
    shop.clock.now_ms += 2 * DAY_MS
    assert reasons(ask(shop, "sale"))["sale", ""] == "COOL_DOWN"
    assert ask(shop, "welcome").HasField("send")


def test_whoever_unsubscribed_hears_no_more_on_that_channel(shop: Service) -> None:
    """The channel of the message closes, the others do not; the history knows what happened."""
    first = ask(shop, "welcome", eligible_channels=["push"])
    deliver(shop, first)
    shop.feedback.ReportReward(reward(first.decision_id, name="unsubscribe"))
    shop.clock.now_ms += 2 * DAY_MS
    second = ask(shop, "welcome")
    assert reasons(second)["", "push"] == "COOL_DOWN"
    assert second.send.channel == "email"
    features = shop.record(second.decision_id).features
    assert features["history.last_channel"] == "push"
    assert from_text(second.decision_id) > from_text(first.decision_id)
