"""Logs for tests, written by the real engine under a clock that obeys."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from decisionlog import Decision, DecisionIds, DecisionLog, Delivery, DeliveryStatus, Keys, Reward
from decisionlog.codec import encode_decision
from decisionlog.ids import to_text
from decisionlog.tables import Table
from policy.registry import Registry
from policy.releases import Releases
from policy.request import Request
from replay.source import Source
from server.asks import Answer, Ask
from server.engine import Engine
from server.serving import Current
from tests.shop import CATALOG, DAY_MS, START_MS, Clock

KEYS = Keys(bytes(range(32)))
MAP_SIZE_BYTES = 64 * 2**20
LATER_MS = START_MS + 60 * DAY_MS
"""When all attribution windows have closed."""


@dataclass
class History:
    """A log that grows as a test says."""

    log: DecisionLog
    registry: Registry
    releases: Releases
    current: Current
    engine: Engine
    clock: Clock
    numbers: Iterator[int]

    def decide(self, subject: str = "", *, request_id: str = "", **fields: Any) -> Decision:  # noqa: ANN401 - of Request
        """Decides for a subject who may get everything; for another one each time if not named."""
        (decision,) = self.decide_all([self.ask(subject, request_id=request_id, **fields)])
        return decision

    def ask(self, subject: str = "", *, request_id: str = "", **fields: Any) -> Ask:  # noqa: ANN401 - of Request
        """A request as `decide` makes it."""
        given = {"granted_consents": frozenset({"marketing"}), **fields}
        return Ask(
            subject_id=subject or f"customer-{next(self.numbers)}",
            request_id=request_id,
            digest=bytes(16),
            explain=False,
            request=partial(Request, **given),
        )

    def decide_all(self, asks: Sequence[Ask]) -> list[Decision]:
        """Decides for many at one moment, which is much faster than one by one."""
        decisions = []
        for answer in self.engine.decide(asks):
            assert isinstance(answer, Answer)
            decisions.append(answer.decision)
        return decisions

    def deliver(
        self,
        decision: Decision,
        status: DeliveryStatus = DeliveryStatus.SENT,
        *,
        after_ms: int = 1000,
        delivery_id: str = "",
    ) -> None:
        """Reports a delivery some time after the decision, under an id of its own."""
        at_ms = decision.decided_at_ms + after_ms
        name = delivery_id or f"d{next(self.numbers)}"
        self.engine.report_deliveries([Delivery(decision.decision_id, name, status, at_ms, at_ms)])

    def reward(
        self,
        decision: Decision,
        value: float = 1.0,
        *,
        name: str = "visit",
        after_ms: int = 2000,
        reward_id: str = "",
    ) -> None:
        """Reports a reward some time after the decision, under an id of its own."""
        at_ms = decision.decided_at_ms + after_ms
        reward_id = reward_id or f"r{next(self.numbers)}"
        reward = Reward(decision.decision_id, reward_id, name, value, at_ms, at_ms)
        self.engine.report_rewards([reward])

    def promote(self, version: str) -> None:
        """Puts a policy into force at once."""
        self.releases.promote(version)
        self.current.refresh()

    def source(self, as_of_ms: int = LATER_MS, **bounds: Any) -> Source:  # noqa: ANN401 - of Source
        """What replay reads."""
        catalog = self.registry.catalog(self.current().rollout.catalog)
        return Source(self.log, self.registry, catalog, as_of_ms, **bounds)

    def overwrite(self, *decisions: Decision) -> None:
        """Puts records in the place of those with their ids, behind the log's back."""
        with self.log._store.write() as transaction:
            for decision in decisions:
                transaction.put(Table.DECISIONS, decision.decision_id, encode_decision(decision))

    def damage(self, table: Table, decision_id: bytes) -> None:
        """Spoils the first row of a table about a decision, as a bad disk might."""
        with self.log._store.write() as transaction:
            cursor = transaction.cursor(table)
            assert cursor.set_range(decision_id)
            key = cursor.key()
            assert key.startswith(decision_id)
            transaction.put(table, key, b"\1garbage")

    def delete(self, table: Table, key: bytes) -> None:
        """Removes a row behind the log's back."""
        with self.log._store.write() as transaction:
            assert transaction.delete(table, key)


@contextmanager
def history(directory: Path, catalog: str = CATALOG, *, seed: int = 0) -> Iterator[History]:
    """An empty log; the same seed and acts give the same log, byte for byte."""
    clock, registry = Clock(), Registry(directory)
    releases = Releases(registry, clock.now)
    releases.publish(catalog)
    current = Current(registry)
    ids = DecisionIds(clock, Random(seed).getrandbits)  # noqa: S311 - test data
    with DecisionLog.open(directory, keys=KEYS, map_size_bytes=MAP_SIZE_BYTES) as log:
        engine = Engine(log, KEYS, ids, registry, current)
        yield History(log, registry, releases, current, engine, clock, count())


def offer_of(decision: Decision) -> str:
    """The offer that was chosen."""
    return decision.tree[decision.stages[0].chosen][0]


def text_of(decision: Decision) -> str:
    """The decision's id as people write it."""
    return to_text(decision.decision_id)


def at(time_ms: int) -> datetime:
    """A time in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC)
