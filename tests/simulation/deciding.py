"""Decides as the service does, by rules, policies and what the log holds; tells what it was told.

Two writers ask for the same customers. Things have numbers: even ones are the first writer's, odd
ones the second's; a number says who is asked for, when and with which features, so that a request
that is repeated by another process is the same request.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

from decisionlog import (
    Decision,
    DecisionIds,
    DecisionLog,
    DecisionLogError,
    Delivery,
    DeliveryStatus,
    Features,
    LoggedDecision,
    ReportOutcome,
    Reward,
)
from policy.catalog import Catalog, parse_catalog
from policy.registry import Registry
from policy.releases import Releases
from policy.request import Request
from server.asks import Answer, Ask
from server.engine import Engine
from server.serving import Current
from tests.decisionlog.samples import KEYS
from tests.shop import CATALOG, START_MS, Clock, register_chain

CAP = 3
BUDGET = 20
"""Messages of the offer `spring` a day."""
RULES = f"""
[[caps]]
messages = {CAP}
days = 7

[offers.spring.budget]
per_day = {BUDGET}

[history]
clicks = ["visit"]

[traffic]
random = 0.4
holdout = 0.1
"""
LISTENED = frozenset({"visit"})
"""What `RULES` listen to."""
WRITERS = 2
TRIES = 7
"""How often each writer asks for a customer."""
STEP_MS = 300_000
"""Time from one number to the next."""
STATUSES = (None, *DeliveryStatus)


def prepare(directory: Path) -> str:
    """Puts a catalog with caps and a chain that has learned into force; returns its version."""
    registry = Registry(directory)
    releases = Releases(registry, lambda: datetime.fromtimestamp(START_MS / 1000, UTC))
    releases.publish(CATALOG + RULES)
    chain = register_chain(registry)
    releases.promote(chain)
    return chain


def catalog() -> Catalog:
    """The catalog in force."""
    return parse_catalog(CATALOG + RULES)


def decide(log: DecisionLog, directory: Path, first: int) -> Iterator[str]:
    """Has decisions made for ever, each asked for twice, and reports on each, twice as well.

    Yields:
        What was acknowledged, each in the words of `told`.
    """
    registry, clock = Registry(directory), Clock()
    engine = Engine(log, KEYS, DecisionIds(clock), registry, Current(registry))
    for number in count(first, WRITERS):
        clock.now_ms = START_MS + number * STEP_MS
        answer, again = engine.decide([_ask(number)] * 2)
        assert isinstance(answer, Answer), answer
        assert isinstance(again, Answer), again
        assert answer.repeated or again.repeated  # either, if others took what both had chosen
        assert again.decision == answer.decision
        yield word(answer.decision)
        for delivery in _deliveries(answer.decision):
            assert_taken(engine.report_deliveries([delivery] * 2))
            yield f"{delivery.status.name} {number}"
        assert_taken(engine.report_rewards([_reward(answer.decision)] * 2))
        yield f"visit {number}"


def told(logged: LoggedDecision) -> Iterator[str]:
    """Yields all that a log holds of a decision, in the words in which it was acknowledged."""
    number = number_of(logged.decision)
    yield word(logged.decision)
    yield from (f"{each.status.name} {number}" for each in logged.deliveries)
    yield from (f"{each.name} {number}" for each in logged.rewards)


def word(decision: Decision) -> str:
    """What a caller is told: the decision's id, what it chose and its probability."""
    chosen = f"{decision.path} {decision.action_probability!r}"
    return f"decided {number_of(decision)} {decision.decision_id.hex()} {chosen}"


def number_of(decision: Decision) -> int:
    """The number of a decision."""
    return (decision.decided_at_ms - START_MS) // STEP_MS


def assert_taken(outcomes: Sequence[ReportOutcome | DecisionLogError]) -> None:
    """Of two reports that say the same the second is a repeat; the first may be one as well."""
    first, second = outcomes
    assert first in {ReportOutcome.ACCEPTED, ReportOutcome.REPEATED}, first
    assert second is ReportOutcome.REPEATED, second


def _ask(number: int) -> Ask:
    consents = frozenset({"marketing"})
    features: Features = {"plan": str(number % 3), "age": number / 7}
    return Ask(
        subject_id=f"customer-{number // WRITERS // TRIES}",
        request_id=str(number),
        digest=number.to_bytes(16, "big"),
        explain=False,
        request=partial(Request, features=features, granted_consents=consents),
    )


def _deliveries(decision: Decision) -> Iterator[Delivery]:
    """A report on what was to be sent, of each kind in turn; on some there is none."""
    status = STATUSES[number_of(decision) % len(STATUSES)]
    if status is None or decision.no_send_reason:
        return
    at_ms = decision.decided_at_ms + 1_000
    actual = "push" if status is DeliveryStatus.OVERRIDDEN else ""
    yield Delivery(decision.decision_id, "d", status, at_ms, at_ms, actual_channel=actual)


def _reward(decision: Decision) -> Reward:
    at_ms = decision.decided_at_ms + 2_000
    return Reward(decision.decision_id, "r", "visit", 1.0, at_ms, at_ms)
