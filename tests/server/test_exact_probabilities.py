"""Logged probabilities are those of the choices, however budgets run out and whoever calls."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import sqrt
from pathlib import Path

import grpc
import pytest

from decisionlog import Decision, DecisionLog
from sendwise.v1 import decision_service_pb2 as decision_api
from sendwise.v1.decision_service_pb2_grpc import DecisionServiceStub
from tests.server.process import serving
from tests.server.service import request, running

HOUR_MS = 3_600_000
CATALOG = """\
schema = 1
name = "campaign"
[channels.email]
[offers.scarce]
channels = ["email"]
budget = {budget}
[offers.plenty]
channels = ["email"]
[reward]
weights = {{ visit = 1.0 }}
"""
RUNS_OUT = CATALOG.format(budget="{ per_day = 50 }")
PACED = CATALOG.format(budget='{ per_day = 120, pacing = "even" }')
REQUESTS = 600
DEVIATIONS_MAX = 4.5
"""Standard errors beyond which a mean weight is not 1 any more: by chance once in 150,000 times."""
Requests = Sequence[decision_api.DecideRequest]


def asked(name: str, size: int) -> Requests:
    """Requests for customers of their own; their ids decide what is drawn."""
    return [request(f"{name}-{one}", request_id=f"{name}-{one}") for one in range(size)]


def batch(decisions: DecisionServiceStub, requests: Requests) -> None:
    """One call for all."""
    answer = decisions.BatchDecide(decision_api.BatchDecideRequest(requests=requests))
    assert all(one.HasField("response") for one in answer.results)


def batches(decisions: DecisionServiceStub, requests: Requests) -> None:
    """Calls for some each, four at a time."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda some: batch(decisions, some), _parts(requests)))


def stream(decisions: DecisionServiceStub, requests: Requests) -> None:
    """One stream for all."""
    sent = (decision_api.StreamDecideRequest(request=one) for one in requests)
    assert all(one.result.HasField("response") for one in decisions.StreamDecide(sent))


def one_by_one(decisions: DecisionServiceStub, requests: Requests) -> None:
    """A call for each, 64 at a time."""
    with ThreadPoolExecutor(64) as pool:
        list(pool.map(decisions.Decide, requests))


def _parts(requests: Requests, size: int = 75) -> Iterable[Requests]:
    return (requests[start : start + size] for start in range(0, len(requests), size))


def assert_unbiased(
    decisions: Iterable[Decision], offers: Sequence[str] = ("scarce", "plenty")
) -> None:
    """The policies "always this offer, where it is eligible" have a mean weight of 1 each.

    Given all that was decided before it, the weight of a decision has mean 1 and variance
    1 / p - 1, where p is the logged probability of what the policy would have chosen.
    """
    excess, variance = dict.fromkeys(offers, 0.0), dict.fromkeys(offers, 0.0)
    for decision in decisions:
        names = [name for name, _ in decision.tree]
        for offer in offers:
            wanted = names.index(offer) if offer in names else 0
            probability = decision.stages[0].pmf[wanted]
            excess[offer] += (decision.path[0] == wanted) / probability - 1
            variance[offer] += 1 / probability - 1
    for offer in offers:
        assert variance[offer] > 0
        assert abs(excess[offer]) < DEVIATIONS_MAX * sqrt(variance[offer]), (excess, variance)


CALLERS = [batch, batches, stream, one_by_one]


@pytest.mark.parametrize("call", CALLERS)
def test_weights_are_unbiased_where_a_budget_runs_out(
    tmp_path: Path, call: Callable[[DecisionServiceStub, Requests], None]
) -> None:
    """What was drawn has no part in whether it is logged; who is late chooses from the rest."""
    with running(tmp_path / "data", RUNS_OUT, threads=64) as service:
        call(service.decisions, asked("customer", REQUESTS))
        logged = decisions_of(service.log)
        assert len(logged) == REQUESTS
        chosen = Counter(one.tree[one.path[0]][0] for one in logged)
        assert chosen["scarce"] == 50
        assert_unbiased(logged)


@pytest.mark.parametrize("call", CALLERS)
def test_weights_are_unbiased_where_a_budget_is_paced(
    tmp_path: Path, call: Callable[[DecisionServiceStub, Requests], None]
) -> None:
    """The same where the budget has some room every hour, and not enough."""
    with running(tmp_path / "data", PACED, threads=64) as service:
        for hour in range(6):
            call(service.decisions, asked(f"hour-{hour}", 200))
            service.clock.now_ms += HOUR_MS
        assert_unbiased(decisions_of(service.log))


def decisions_of(log: DecisionLog) -> list[Decision]:
    """All that a log holds."""
    return [one.decision for one in log.scan()]


def test_weights_are_unbiased_over_two_workers(tmp_path: Path) -> None:
    """The same where each of two processes decides without knowing what the other is about to."""
    with serving(tmp_path, "--workers", "2", catalog=RUNS_OUT) as server:
        where = server.address()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: _campaign(where, name), range(8)))
        assert server.stop() == 0
    with DecisionLog.open(tmp_path / "data", keys=None, read_only=True) as log:
        logged = decisions_of(log)
    assert len(logged) == 8 * 150
    assert_unbiased(logged)


def _campaign(where: str, name: int) -> None:
    """Calls of one client, over a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(where, options=options) as channel:
        for some in _parts(asked(str(name), 150)):
            batch(DecisionServiceStub(channel), some)
