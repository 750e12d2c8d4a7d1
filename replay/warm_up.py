"""Compiles what evaluation, `ledger` and training need: `python -m replay.warm_up`."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

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
from policy.catalog import Catalog, parse_catalog
from policy.choice import choose
from policy.eligibility import eligibility
from policy.exploration import Exploration
from policy.learning import Student
from policy.policies import Uniform
from policy.request import Request
from policy.warm_up import CATALOG
from replay.estimators import ESTIMATORS
from replay.evaluation import Evaluation
from replay.intervals.settings import IntervalSettings, Method
from replay.ledger import ledger
from replay.sample import CLUSTERS, NUMBERS, Sample


def warm_up() -> None:
    """Does each of them once: half a minute where no code is kept yet, else a second."""
    catalog = parse_catalog(CATALOG)
    for method in (Method.SKEW, Method.BOOTSTRAP):
        evaluation = Evaluation([*ESTIMATORS], IntervalSettings(method))
        evaluation.add(_sample())
        evaluation.result()
    with closing(Student(Exploration())) as student:
        situation = eligibility(Request(0, "", {"age": 1.0}), catalog).situation
        student.learn(situation, (0, 0, 0), 1.0)
    with TemporaryDirectory() as scratch, _log(Path(scratch), catalog) as log:
        ledger(log, catalog.reward)


def _sample() -> Sample:
    """Two interactions with every column."""
    ones = dict.fromkeys(NUMBERS, np.ones(2))
    whole = Sample(**ones, **dict.fromkeys(CLUSTERS, np.zeros(2, dtype=np.int64)))  # type: ignore[arg-type] # by name, none of them the others
    return replace(whole, reward=np.array([0.0, 1.0]))


def _log(directory: Path, catalog: Catalog) -> closing[DecisionLog]:
    """A log with a record of each kind."""
    log = DecisionLog.open(directory, keys=Keys(bytes(32)))
    decision = _decision(catalog)
    now = decision.decided_at_ms
    log.record([Proposal(decision)])
    sent = Delivery(decision.decision_id, "sent", DeliveryStatus.SENT, now, now)
    log.report_deliveries([sent, replace(sent, delivery_id="bounced")])
    log.report_rewards([Reward(decision.decision_id, "r", "click", 1.0, now, now)])
    return closing(log)


def _decision(catalog: Catalog) -> Decision:
    situation = eligibility(Request(0, "", {"age": 1.0}), catalog).situation
    return Decision(
        decision_id=DecisionIds(clock_ms=lambda: 0).new(None),
        subject=bytes(16),
        request_digest=bytes(16),
        arm=1,
        policy_version=Uniform.version,
        catalog_version=catalog.version,
        time_zone="",
        priority=1,
        no_send_reason=0,
        features=situation.features,
        offer_features={},
        grid=Grid(*situation.grid),
        tree=situation.tree,
        stages=tuple(
            Stage(tuple(one.pmf.tolist()), one.chosen)
            for one in choose(Uniform(), situation, 1).stages
        ),
    )


if __name__ == "__main__":
    warm_up()
