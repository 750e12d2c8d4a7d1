"""The delivery system of the Hillstrom example, against the real services."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from decisionlog import DeliveryStatus, LoggedDecision
from examples.hillstrom import driver
from examples.hillstrom.data import Customer
from examples.hillstrom.driver import replay
from replay.ledger import ledger
from tests.examples.customers import ARMS
from tests.replay.history import offer_of
from tests.server.service import KEYS, Service, running

CATALOG = Path(driver.__file__).with_name("catalog.toml")
CUSTOMERS = [
    Customer(
        number=number,
        features={
            "recency": float(number % 12),
            "zip_code": "Rural|x:1",
            "newbie": number % 2 == 0,
        },
        arm=ARMS[number % 3],
        visit=number % 2 == 0,
        conversion=number % 4 == 0,
        spend=19.99 if number % 4 == 0 else 0.0,
    )
    for number in range(1, 301)
]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """The example's own catalog in force."""
    with running(tmp_path / "data", CATALOG.read_text()) as found:
        yield found


@pytest.fixture
def steps(service: Service) -> list[int]:
    """All customers were replayed; the progress that was told."""
    told: list[int] = []
    replay(service.address, CUSTOMERS, told.append)
    return told


def by_number(service: Service) -> dict[int, LoggedDecision]:
    """What the log holds, by customer."""
    subjects = {KEYS.pseudonym(f"customer-{one.number}"): one.number for one in CUSTOMERS}
    return {subjects[logged.decision.subject]: logged for logged in service.log.scan()}


def test_every_customer_is_decided_for(service: Service, steps: list[int]) -> None:
    """Once, with the features of the file, and progress is told for each."""
    assert sum(steps) == len(CUSTOMERS)
    found = by_number(service)
    assert len(found) == service.log.counts().decisions == len(CUSTOMERS)
    for customer in CUSTOMERS:
        assert found[customer.number].decision.features == customer.features


@pytest.mark.usefixtures("steps")
def test_only_what_really_happened_is_reported(service: Service) -> None:
    """Where the choice is what was sent: sent, with its rewards; elsewhere suppressed, without."""
    found = by_number(service)
    agreed = 0
    for customer in CUSTOMERS:
        logged = found[customer.number]
        (delivery,) = logged.deliveries
        is_real = offer_of(logged.decision) == customer.arm
        agreed += is_real
        expected = DeliveryStatus.SENT if is_real else DeliveryStatus.SUPPRESSED
        assert delivery.status is expected
        facts = {
            "visit": customer.visit,
            "conversion": customer.conversion,
            "spend": customer.spend,
        }
        rewards = {name: float(value) for name, value in facts.items() if value and is_real}
        assert {reward.name: reward.value for reward in logged.rewards} == rewards
    assert 60 < agreed < 140  # a third, as the arms were randomised
    rule = service.registry.catalog(service.releases.present().catalog).reward
    assert ledger(service.log, rule).balanced


@pytest.mark.usefixtures("steps")
def test_a_second_replay_changes_nothing(service: Service) -> None:
    """All ids are the same, so everything is a repeat."""
    before = service.log.counts()
    replay(service.address, CUSTOMERS, lambda _count: None)
    after = service.log.counts()
    assert (after.decisions, after.deliveries, after.rewards) == (
        before.decisions,
        before.deliveries,
        before.rewards,
    )
    assert after.deliveries_repeated == before.deliveries_repeated + len(CUSTOMERS)


def test_a_refused_request_stops_the_replay(service: Service) -> None:
    """What cannot be decided is an error with the server's word, not a hole in the data."""
    bad = Customer(1, {"": 1.0}, "mens", visit=False, conversion=False, spend=0.0)
    with pytest.raises(RuntimeError, match="is empty"):
        replay(service.address, [bad], lambda _count: None)
