"""How fast a chain learns from a log: decoding and joining included."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from benchmarks.choice import NOW_MS, asked, catalog
from decisionlog import (
    Decision,
    DecisionIds,
    DecisionLog,
    Delivery,
    DeliveryStatus,
    Grid,
    Keys,
    Proposal,
    Reward,
    Stage,
)
from decisionlog.ids import entropy
from policy.catalog import Catalog
from policy.choice import choose
from policy.eligibility import eligibility
from policy.examples import example
from policy.exploration import Exploration
from policy.learning import Student
from policy.policies import Uniform
from policy.registry import Registry
from replay.join import Interaction, join
from replay.train import train

DECISIONS: Final = 6_000
REPETITIONS: Final = 5
LATER_MS: Final = NOW_MS + 10**10
_KEYS: Final = Keys(bytes(32))


def run() -> dict[str, float]:
    """Interactions a second on one core at 20 x 4 x 24 with ten features; medians.

    Returns:
        Of learning alone, of a whole training run (which reads the log and teaches several
        students), and of reading the log.
    """
    content = catalog(20, 4, 24)
    with TemporaryDirectory() as scratch, log_of(Path(scratch) / "log", content, DECISIONS) as log:
        rounds = [_round(log, content, Path(scratch)) for _ in range(REPETITIONS)]
    return {name: median(each[name] for each in rounds) for name in rounds[0]}


def _round(log: DecisionLog, content: Catalog, scratch: Path) -> dict[str, float]:
    started = perf_counter()
    lived = list(_interactions(log, content))
    read = perf_counter()
    student = Student(Exploration())
    for one in lived:
        student.learn_example(example(one.situation, one.path), one.reward)
    student.chain.weights.sum()
    learned = perf_counter()
    student.close()
    registry, now = Registry(scratch), datetime.now(UTC)
    train(_interactions(log, content), content, registry, now, held_out_share=0.0)
    trained = perf_counter()
    return {
        "read_interactions_per_s": DECISIONS / (read - started),
        "learned_interactions_per_s": DECISIONS / (learned - read),
        "trained_interactions_per_s": DECISIONS / (trained - learned),
    }


def _interactions(log: DecisionLog, content: Catalog) -> Iterator[Interaction]:
    yield from join(log.scan(), content.reward, lambda _: content, LATER_MS, Counter())


def log_of(directory: Path, content: Catalog, size: int) -> DecisionLog:
    """A log of decisions that were delivered, every fifth with a reward."""
    log = DecisionLog.open(directory, keys=_KEYS)
    ids = DecisionIds(clock_ms=lambda: NOW_MS)
    decisions = [_decision(ids.new(None), turn, content) for turn in range(size)]
    log.record([Proposal(decision) for decision in decisions])
    log.report_deliveries([_delivery(decision) for decision in decisions])
    log.report_rewards([_reward(decision) for decision in decisions[::5]])
    return log


def _decision(decision_id: bytes, turn: int, content: Catalog) -> Decision:
    request = asked(turn)
    situation = eligibility(request, content).situation
    choice = choose(Uniform(), situation, entropy(decision_id))
    return Decision(
        decision_id=decision_id,
        subject=turn.to_bytes(16, "big"),
        request_digest=bytes(16),
        arm=1,
        policy_version=Uniform.version,
        catalog_version=content.version,
        time_zone=request.time_zone,
        priority=1,
        no_send_reason=0,
        features=situation.features,
        offer_features={},
        grid=Grid(*situation.grid),
        tree=situation.tree,
        stages=tuple(Stage(tuple(one.pmf.tolist()), one.chosen) for one in choice.stages),
    )


def _delivery(decision: Decision) -> Delivery:
    return Delivery(decision.decision_id, "d", DeliveryStatus.SENT, NOW_MS + 1, NOW_MS + 1)


def _reward(decision: Decision) -> Reward:
    return Reward(decision.decision_id, "r", "visit", 1.0, NOW_MS + 2, NOW_MS + 2)
