"""Plays the delivery system: asks for decisions and reports what really happened, over gRPC."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from typing import Any, TypeVar

import grpc

from examples.hillstrom.data import Customer
from sendwise.v1 import common_pb2 as common
from sendwise.v1 import decision_service_pb2 as decision_api
from sendwise.v1 import feedback_service_pb2 as feedback_api
from sendwise.v1.decision_service_pb2_grpc import DecisionServiceStub
from sendwise.v1.feedback_service_pb2_grpc import FeedbackServiceStub

BATCH = 250
IN_FLIGHT = 64
CONNECTIONS = 2

_T = TypeVar("_T")
FeatureValue = float | str | bool


def replay(
    address: str, customers: Sequence[Customer], on_progress: Callable[[int], None]
) -> Counter[str]:
    """Replays customers over several connections at once.

    Returns:
        How many were answered by each policy version.
    """
    systems: Queue[DeliverySystem] = Queue()
    for _ in range(CONNECTIONS):
        systems.put(DeliverySystem(address))

    def turn(batch: Sequence[Customer]) -> Counter[str]:
        system = systems.get()
        answered = system.replay(batch)
        systems.put(system)
        on_progress(len(batch))
        return answered

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        answered = sum(pool.map(turn, batches(customers, BATCH)), Counter[str]())
    while not systems.empty():
        systems.get().close()
    return answered


class DeliverySystem:
    """Replays the experiment (Li et al. 2011).

    The arms were randomised. So where the decision equals the e-mail that a customer was really
    sent, the real outcome is what the decision would have led to, and is reported; where it does
    not, nobody knows, and the delivery is reported as suppressed. What is reported is an unbiased
    sample of what the policy would have met.
    """

    def __init__(self, address: str) -> None:
        # Every connection stays with one worker: a delivery system opens two or more.
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(address, options)
        self._decisions = DecisionServiceStub(self._channel)
        self._feedback = FeedbackServiceStub(self._channel)

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def replay(self, customers: Sequence[Customer]) -> Counter[str]:
        """Has customers decided for, reports what became of it, and counts who answered."""
        requests = [_request(customer) for customer in customers]
        answer = self._decisions.BatchDecide(decision_api.BatchDecideRequest(requests=requests))
        pairs = list(zip(customers, map(_decided, answer.results), strict=True))
        self._report_deliveries(pairs)
        self._report_rewards(pairs)
        return Counter(decision.policy_version for _, decision in pairs)

    def _report_deliveries(
        self, pairs: Sequence[tuple[Customer, decision_api.DecideResponse]]
    ) -> None:
        """Reports one by one, as a sender would; several calls are under way at a time."""
        waiting: deque[Any] = deque()
        for customer, decision in pairs:
            if len(waiting) == IN_FLIGHT:
                _check(waiting.popleft().result())
            waiting.append(self._feedback.ReportDelivery.future(_delivery(customer, decision)))
        for call in waiting:
            _check(call.result())

    def _report_rewards(
        self, pairs: Sequence[tuple[Customer, decision_api.DecideResponse]]
    ) -> None:
        rewards = [
            reward
            for customer, decision in pairs
            if _offer(decision) == customer.arm
            for reward in _rewards(customer, decision.decision_id)
        ]
        for batch in batches(rewards, 1000):
            message = feedback_api.BatchReportRewardsRequest(rewards=batch)
            for result in self._feedback.BatchReportRewards(message).results:
                _check(result.response, result.error.message)


def _check(
    response: feedback_api.ReportDeliveryResponse | feedback_api.ReportRewardResponse,
    error: str = "",
) -> None:
    """Every report has to be taken: one that was lost would bias what is learned."""
    if error or response.outcome == feedback_api.REPORT_OUTCOME_UNMATCHED:
        raise RuntimeError(error or "a report is on no decision of the log")


def _request(customer: Customer) -> decision_api.DecideRequest:
    name = f"customer-{customer.number}"
    features = {key: _feature(value) for key, value in customer.features.items()}
    return decision_api.DecideRequest(request_id=name, subject_id=name, features=features)


def _feature(value: FeatureValue) -> common.Feature:
    if isinstance(value, bool):
        return common.Feature(flag=value)
    if isinstance(value, str):
        return common.Feature(category=value)
    return common.Feature(number=value)


def _decided(result: decision_api.DecideResult) -> decision_api.DecideResponse:
    if result.HasField("error"):
        raise RuntimeError(result.error.message)
    return result.response


def _offer(decision: decision_api.DecideResponse) -> str:
    return decision.send.offer if decision.HasField("send") else "no_send"


def _delivery(
    customer: Customer, decision: decision_api.DecideResponse
) -> feedback_api.ReportDeliveryRequest:
    is_real = _offer(decision) == customer.arm
    status = (
        feedback_api.DELIVERY_STATUS_SENT if is_real else feedback_api.DELIVERY_STATUS_SUPPRESSED
    )
    return feedback_api.ReportDeliveryRequest(
        decision_id=decision.decision_id, delivery_id="replay", status=status
    )


def _rewards(customer: Customer, decision_id: str) -> Iterator[feedback_api.ReportRewardRequest]:
    facts = {
        "visit": float(customer.visit),
        "conversion": float(customer.conversion),
        "spend": customer.spend,
    }
    for name, value in facts.items():
        if value:
            yield feedback_api.ReportRewardRequest(
                decision_id=decision_id, reward_id=name, name=name, value=value
            )


def batches(entries: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Yields the entries in groups of `size`, the last one smaller."""
    for start in range(0, len(entries), size):
        yield entries[start : start + size]
