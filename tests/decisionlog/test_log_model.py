"""The log against a plain in-memory reference, under random operations and restarts."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from decisionlog import (
    Counts,
    Decision,
    DecisionIdReused,
    DecisionLog,
    DecisionLogError,
    Delivery,
    DeliveryIdReused,
    DeliveryStatus,
    Proposal,
    ReportOutcome,
    RequestIdReused,
    Reward,
    RewardIdReused,
)
from tests.decisionlog.samples import DECISION, DELIVERY, KEYS, MAP_SIZE_BYTES, REWARD, decision_id

numbers = st.integers(1, 5)
names = st.sampled_from(["a", "b|:\n", "\U0001f600"])
times_ms = st.integers(1, 3)
request_keys = st.none() | st.sampled_from([b"p" * 16, b"q" * 16])
digests = st.sampled_from([b"d" * 16, b"e" * 16])

offered_decisions = st.builds(
    Proposal,
    st.builds(
        lambda number, digest, arm: replace(
            DECISION, decision_id=decision_id(number), request_digest=digest, arm=arm
        ),
        numbers,
        digests,
        st.integers(1, 2),
    ),
    request_keys,
)
deliveries = st.builds(
    lambda number, name, status, occurred, received: replace(
        DELIVERY,
        decision_id=decision_id(number),
        delivery_id=name,
        status=status,
        occurred_at_ms=occurred,
        received_at_ms=received,
    ),
    numbers,
    names,
    st.sampled_from(DeliveryStatus),
    times_ms,
    times_ms,
)
rewards = st.builds(
    lambda number, name, value, occurred, received: replace(
        REWARD,
        decision_id=decision_id(number),
        reward_id=name,
        value=value,
        occurred_at_ms=occurred,
        received_at_ms=received,
    ),
    numbers,
    names,
    st.sampled_from([0.0, 1.0]),
    times_ms,
    times_ms,
)


@dataclass
class Reference:
    """What a log should be, in dictionaries."""

    decisions: dict[bytes, Decision] = field(default_factory=dict)
    requests: dict[bytes, Decision] = field(default_factory=dict)
    deliveries: dict[tuple[bytes, str], Delivery] = field(default_factory=dict)
    rewards: dict[tuple[bytes, str], Reward] = field(default_factory=dict)
    deliveries_repeated: int = 0
    rewards_repeated: int = 0

    def record(self, decision: Decision, request: bytes | None) -> Decision | type:
        """Return what a log should answer; an error by its type."""
        if request in self.requests:
            earlier = self.requests[request]
            same = earlier.request_digest == decision.request_digest
            return earlier if same else RequestIdReused
        if self.decisions.get(decision.decision_id, decision) != decision:
            return DecisionIdReused
        self.decisions[decision.decision_id] = decision
        if request is not None:
            self.requests[request] = decision
        return decision

    def report_delivery(self, new: Delivery) -> ReportOutcome | type:
        """Return what a log should answer; an error by its type."""
        stored = self.deliveries.setdefault((new.decision_id, new.delivery_id), new)
        if stored is new:
            return self._outcome(new)
        same_time = stored.occurred_at_ms == new.occurred_at_ms or (
            stored.occurred_at_ms == stored.received_at_ms
            and new.occurred_at_ms == new.received_at_ms
        )
        if stored.status != new.status or not same_time:
            return DeliveryIdReused
        self.deliveries_repeated += 1
        return ReportOutcome.REPEATED

    def report_reward(self, new: Reward) -> ReportOutcome | type:
        """Return what a log should answer; an error by its type."""
        stored = self.rewards.setdefault((new.decision_id, new.reward_id), new)
        if stored is new:
            return self._outcome(new)
        same_time = stored.occurred_at_ms == new.occurred_at_ms or (
            stored.occurred_at_ms == stored.received_at_ms
            and new.occurred_at_ms == new.received_at_ms
        )
        if stored.value != new.value or not same_time:
            return RewardIdReused
        self.rewards_repeated += 1
        return ReportOutcome.REPEATED

    def _outcome(self, new: Delivery | Reward) -> ReportOutcome:
        known = new.decision_id in self.decisions
        return ReportOutcome.ACCEPTED if known else ReportOutcome.UNMATCHED

    def counts(self) -> Counts:
        """Return what a log should count."""
        return Counts(
            len(self.decisions),
            len(self.deliveries),
            len(self.rewards),
            len(self.requests),
            self.deliveries_repeated,
            self.rewards_repeated,
        )


def typed(
    results: list[Decision | DecisionLogError] | list[ReportOutcome | DecisionLogError],
) -> list[object]:
    """Return results with errors by their types."""
    return [type(each) if isinstance(each, DecisionLogError) else each for each in results]


class LogMachine(RuleBasedStateMachine):
    """Does the same to a log and to its reference and compares all that can be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(mkdtemp())
        self.reference = Reference()
        self.log = self.opened()

    def opened(self) -> DecisionLog:
        """Open the log."""
        return DecisionLog.open(self.directory, keys=KEYS, map_size_bytes=MAP_SIZE_BYTES)

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.log.close()
        rmtree(self.directory)

    @rule(offered=st.lists(offered_decisions, max_size=4))
    def record(self, offered: list[Proposal]) -> None:
        """Record a batch."""
        expected = [self.reference.record(each.decision, each.request_key) for each in offered]
        assert typed(self.log.record(offered)) == expected

    @rule(reports=st.lists(deliveries, max_size=4))
    def report_deliveries(self, reports: list[Delivery]) -> None:
        """Report a batch of deliveries."""
        expected = [self.reference.report_delivery(each) for each in reports]
        assert typed(self.log.report_deliveries(reports)) == expected

    @rule(reports=st.lists(rewards, max_size=4))
    def report_rewards(self, reports: list[Reward]) -> None:
        """Report a batch of rewards."""
        expected = [self.reference.report_reward(each) for each in reports]
        assert typed(self.log.report_rewards(reports)) == expected

    @rule()
    def restart(self) -> None:
        """Close the log and open it again."""
        self.log.close()
        self.log = self.opened()

    @invariant()
    def everything_is_there_once(self) -> None:
        """Join, orphans, look-ups and counts agree with the reference."""
        logged = list(self.log.scan(slice_size=2))
        assert [each.decision for each in logged] == [
            self.reference.decisions[key] for key in sorted(self.reference.decisions)
        ]
        orphans = list(self.log.orphans(slice_size=2))
        joined: list[object] = [report for each in logged for report in each.deliveries]
        joined += [report for each in logged for report in each.rewards]
        stored = [*self.reference.deliveries.values(), *self.reference.rewards.values()]
        assert sorted(map(repr, joined + list(orphans))) == sorted(map(repr, stored))
        assert {each.decision_id for each in orphans}.isdisjoint(self.reference.decisions)
        for key, decision in self.reference.requests.items():
            assert self.log.find_request(key) == decision
        assert self.log.counts() == self.reference.counts()


TestLog = LogMachine.TestCase
TestLog.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
