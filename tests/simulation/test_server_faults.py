"""SIGKILL of a real server under load: nothing that it acknowledged is lost or doubled."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import grpc

from decisionlog import DecisionLog, LoggedDecision, load_keys
from decisionlog.ids import to_text
from policy.registry import Registry
from replay.ledger import ledger
from replay.verify import Sought, verify
from sendwise.v1 import decision_service_pb2 as decision_api
from sendwise.v1.decision_service_pb2_grpc import DecisionServiceStub
from sendwise.v1.feedback_service_pb2_grpc import FeedbackServiceStub
from tests.server.process import ServerProcess, serving
from tests.server.service import delivery, request, reward
from tests.shop import shop

CALLERS = 4
WORKER_KILLS = 2
SERVER_KILLS = 2

_Answer = TypeVar("_Answer")


@dataclass
class Load:
    """Callers that go on whatever happens, and remember what was acknowledged to them."""

    address: str
    ended: threading.Event = field(default_factory=threading.Event)
    decisions: dict[str, decision_api.DecideResponse] = field(default_factory=dict)
    deliveries: set[str] = field(default_factory=set)
    rewards: set[str] = field(default_factory=set)
    failures: set[grpc.StatusCode] = field(default_factory=set)

    def run(self, caller: int) -> None:
        """Has one customer after the other decided for, and reports on each."""
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 100)]
        with grpc.insecure_channel(self.address, options) as channel:
            decisions, feedback = DecisionServiceStub(channel), FeedbackServiceStub(channel)
            turn = 0
            while not self.ended.is_set():
                name = f"{caller}-{turn}"
                turn += 1
                asked = request(name, request_id=name)
                answer = self._insist(lambda asked=asked: decisions.Decide(asked))  # type: ignore[misc]
                if answer is not None:
                    self._report(feedback, name, answer)

    def _report(
        self, feedback: FeedbackServiceStub, name: str, answer: decision_api.DecideResponse
    ) -> None:
        self.decisions[name] = answer
        decision_id = answer.decision_id
        if self._insist(lambda: feedback.ReportDelivery(delivery(decision_id))) is not None:
            self.deliveries.add(decision_id)
        if self._insist(lambda: feedback.ReportReward(reward(decision_id))) is not None:
            self.rewards.add(decision_id)

    def _insist(self, call: Callable[[], _Answer]) -> _Answer | None:
        """Calls with the same ids until there is an answer; None if the load ended before."""
        while not self.ended.is_set():
            try:
                return call()
            except grpc.RpcError as error:
                self.failures.add(error.code())
                time.sleep(0.02)
        return None


def kill_a_worker(server: ServerProcess, rng: random.Random) -> None:
    """Kills one of the workers that live."""
    os.kill(rng.choice(server.workers()), signal.SIGKILL)


def more(load: Load, count: int) -> None:
    """Waits until that many more rewards were acknowledged."""
    goal, deadline = len(load.rewards) + count, time.monotonic() + 60
    while len(load.rewards) < goal:
        assert time.monotonic() < deadline, f"no progress: {load.failures}"
        time.sleep(0.005)


def torment(load: Load, first: ServerProcess, directory: Path, rng: random.Random) -> None:
    """Kills workers, then whole servers, at moments of the seed's choice, under load."""
    for _ in range(WORKER_KILLS):
        more(load, rng.randrange(20, 100))
        kill_a_worker(first, rng)
    port = load.address.rpartition(":")[2]
    server = first
    for _ in range(SERVER_KILLS):
        more(load, rng.randrange(20, 100))
        server.kill()
        server = ServerProcess(directory, "--workers", "2", "--port", port)
        try:
            server.address()
            more(load, rng.randrange(1, 20))
        except BaseException:
            server.kill()
            raise
    load.ended.set()
    server.kill()


def assert_kept(logged: LoggedDecision, load: Load) -> None:
    """What the log holds of a decision is what was acknowledged, and each report is there once."""
    name = to_text(logged.decision.decision_id)
    if name in load.deliveries:
        assert len(logged.deliveries) == 1
    if name in load.rewards:
        assert len(logged.rewards) == 1


def test_killed_servers_lose_nothing_acknowledged(tmp_path: Path, rng: random.Random) -> None:
    """Every acknowledged decision, delivery and reward is there once; ledger and verify agree."""
    with serving(tmp_path, "--workers", "2") as server, ThreadPoolExecutor(CALLERS) as pool:
        load = Load(server.address())
        try:
            calls = [pool.submit(load.run, caller) for caller in range(CALLERS)]
            torment(load, server, tmp_path, rng)
        finally:
            load.ended.set()
        for call in calls:
            call.result()
    keys = load_keys(tmp_path / "data.key", data_directory=tmp_path / "data")
    with DecisionLog.open(tmp_path / "data", keys=keys) as log:
        held = {to_text(logged.decision.decision_id): logged for logged in log.scan()}
        for name, answer in load.decisions.items():
            logged = held[answer.decision_id]
            assert logged.decision.subject == keys.pseudonym(name)
            assert logged.decision.action_probability == answer.action_probability
            assert_kept(logged, load)
        subjects = [logged.decision.subject for logged in held.values()]
        assert len(set(subjects)) == len(subjects), "a customer was decided for twice"
        assert ledger(log, shop().reward).balanced
        verification = verify(Sought(log, Registry(tmp_path / "data")))
    assert verification.mismatches == ()
    assert load.failures <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
