"""How fast decisions become durable, beside plain LMDB with the same bytes and batches."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from threading import Thread
from time import perf_counter, sleep
from typing import Any, Final, TypeVar

import lmdb

from decisionlog import Decision, DecisionIds, DecisionLog, Grid, Keys, Proposal, Reward, Stage
from decisionlog.committer import Committer
from decisionlog.operations import NewDecision, RecordDecisions, new_decision
from decisionlog.schema import prepare
from decisionlog.store import Store
from decisionlog.tickets import Ticket

RECORDS: Final = 20_000
IN_FLIGHT: Final = 64
REPETITIONS: Final = 7
STEADY_PER_S: Final = 5_000
REWARDS_BATCH: Final = 1_000
SEED: Final = 7

_MAP_SIZE_BYTES: Final = 1024**3
KEYS: Final = Keys(bytes(32))

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def run() -> dict[str, float]:
    """Measure.

    Returns:
        Medians over `REPETITIONS` of runs side by side, with `IN_FLIGHT` single decisions in
        flight from one thread: records a second as the log takes encoded ones, as it takes
        decisions (encoding included), and as plain LMDB takes the bytes of the first in its
        batches; and the ratio of the first to the last.
    """
    decisions = sample_decisions(random.Random(SEED))  # noqa: S311 - test data
    news = [new_decision(Proposal(decision)) for decision in decisions]
    rounds = [_round(decisions, news) for _ in range(REPETITIONS)]
    return {name: median(each[name] for each in rounds) for name in rounds[0]}


def _round(decisions: Sequence[Decision], news: Sequence[NewDecision]) -> dict[str, float]:
    with _directory() as directory:
        encoded_s, batches = _encoded(directory, news)
    with _directory() as directory:
        plain_s = _plain(directory, news, batches)
    with _directory() as directory:
        whole_s = _whole(directory, decisions)
        rewards_s = _rewards(directory, decisions)
    with _directory() as directory:
        latencies_ms = _steady(directory, decisions)
    return {
        "commit_records_per_s": RECORDS / encoded_s,
        "commit_with_encoding_records_per_s": RECORDS / whole_s,
        "commit_plain_lmdb_records_per_s": RECORDS / plain_s,
        "commit_ratio_to_plain_lmdb": plain_s / encoded_s,
        "commit_p50_ms_at_5000_per_s": latencies_ms[49],
        "commit_p99_ms_at_5000_per_s": latencies_ms[98],
        "rewards_on_decisions_per_s": RECORDS / rewards_s,
    }


def _directory() -> "TemporaryDirectory[str]":
    # Beside this file: a directory of the system's might lie in memory and sync for nothing.
    return TemporaryDirectory(dir=Path(__file__).parent)


def _encoded(directory: str, news: Sequence[NewDecision]) -> tuple[float, list[int]]:
    """Return the seconds it took and the sizes of the batches that came of it."""
    batches: list[int] = []
    with Store(Path(directory), map_size_bytes=_MAP_SIZE_BYTES) as store:
        prepare(store, KEYS.fingerprint, 0)
        committer = Committer(store.write, on_commit=lambda _, size: batches.append(size))
        operations = [RecordDecisions([new]) for new in news]
        seconds = in_flight(committer.submit, operations)
        committer.close()
    return seconds, batches


def _whole(directory: str, decisions: Sequence[Decision]) -> float:
    path = Path(directory)
    with DecisionLog.open(path, keys=KEYS, map_size_bytes=_MAP_SIZE_BYTES) as log:
        return in_flight(log.submit, [[Proposal(decision)] for decision in decisions])


def in_flight(submit: Callable[[_Item], Ticket[_Result]], items: Sequence[_Item]) -> float:
    """Submit all, wait for the oldest whenever `IN_FLIGHT` are waiting; return the seconds."""
    waiting: deque[Ticket[_Result]] = deque()
    started_s = perf_counter()
    for item in items:
        if len(waiting) == IN_FLIGHT:
            waiting.popleft().result()
        waiting.append(submit(item))
    while waiting:
        waiting.popleft().result()
    return perf_counter() - started_s


def _plain(directory: str, news: Sequence[NewDecision], batches: Sequence[int]) -> float:
    """Return the seconds that LMDB alone takes."""
    rows = iter([(new.proposal.decision.decision_id, new.value) for new in news])
    with lmdb.open(directory, map_size=_MAP_SIZE_BYTES, max_dbs=1) as environment:
        table = environment.open_db(b"decisions")
        started_s = perf_counter()
        for size in batches:
            with environment.begin(write=True) as transaction:
                for _ in range(size):
                    key, value = next(rows)
                    transaction.put(key, value, db=table)
        return perf_counter() - started_s


def _steady(directory: str, decisions: Sequence[Decision]) -> list[float]:
    """Return the percentiles, 1 to 99, of how long a decision takes from when it is due, in ms."""
    waiting: SimpleQueue[tuple[float, Ticket[Any]] | None] = SimpleQueue()
    latencies_ms: list[float] = []

    def wait() -> None:
        while (one := waiting.get()) is not None:
            due_s, ticket = one
            ticket.result()
            latencies_ms.append((perf_counter() - due_s) * 1000)

    path = Path(directory)
    with DecisionLog.open(path, keys=KEYS, map_size_bytes=_MAP_SIZE_BYTES) as log:
        waiter = Thread(target=wait)
        waiter.start()
        started_s = perf_counter()
        for number, decision in enumerate(decisions):
            due_s = started_s + number / STEADY_PER_S
            if (early_s := due_s - perf_counter()) > 0:
                sleep(early_s)
            waiting.put((due_s, log.submit([Proposal(decision)])))
        waiting.put(None)
        waiter.join()
    return quantiles(latencies_ms, n=100)


def _rewards(directory: str, decisions: Sequence[Decision]) -> float:
    """Return the seconds that it takes to store a reward on each of the decisions of a log."""
    rewards = [reward_on(decision) for decision in decisions]
    path = Path(directory)
    with DecisionLog.open(path, keys=KEYS, map_size_bytes=_MAP_SIZE_BYTES) as log:
        started_s = perf_counter()
        for start in range(0, len(rewards), REWARDS_BATCH):
            log.report_rewards(rewards[start : start + REWARDS_BATCH])
        return perf_counter() - started_s


def reward_on(decision: Decision) -> Reward:
    """Return a reward a minute after a decision."""
    at_ms = decision.decided_at_ms
    return Reward(decision.decision_id, "visit-1", "visit", 1.0, at_ms + 60_000, at_ms + 61_000)


def sample_decisions(source: random.Random) -> list[Decision]:
    """Return `RECORDS` small decisions, one a millisecond."""
    ids = DecisionIds(iter(range(RECORDS)).__next__, source.getrandbits)
    return [decision_from(ids.new(), source) for _ in range(RECORDS)]


def decision_from(decision_id: bytes, source: random.Random) -> Decision:
    """Return a small decision: eight features, three offers, one channel, one window."""
    return Decision(
        decision_id=decision_id,
        subject=source.randbytes(16),
        request_digest=source.randbytes(16),
        arm=1,
        policy_version="3f6c0e5d9a41",
        catalog_version="b1946ac92492",
        time_zone="Europe/Berlin",
        priority=1,
        no_send_reason=0,
        features={f"feature_{i}": source.random() if i % 2 else f"v{i}" for i in range(8)},
        offer_features={},
        grid=Grid(start_ms=0, step_ms=3_600_000, earliest_ms=0, local_minutes=(60,)),
        tree=tuple((offer, (("email", 1),)) for offer in ("mens", "womens", "none")),
        stages=(Stage((0.2, 0.3, 0.5), 2), Stage((1.0,), 0), Stage((1.0,), 0)),
    )
