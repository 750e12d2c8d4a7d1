"""Evaluates policies on interactions in one loop, without stretches, processes and checks."""

from collections.abc import Sequence

from replay.estimate import DEFAULT_LEVEL
from replay.evaluation import DEFAULT_ESTIMATORS
from replay.join import Interaction
from replay.log_evaluation import (
    LOGGING,
    PolicyEvaluation,
    PolicyReading,
    Target,
    p_logged,
    p_target,
    usable_for,
)


def evaluate_log(
    interactions: Sequence[Interaction],
    targets: Sequence[Target],
    estimators: Sequence[str] = DEFAULT_ESTIMATORS,
) -> dict[str, PolicyEvaluation]:
    """What they say, by the targets' names and `logging`."""
    columns = {name: PolicyReading(estimators) for name in (LOGGING, *(t.name for t in targets))}
    columns[LOGGING].add(interactions, p_logged(interactions))
    for target in targets:
        usable, unusable = usable_for(target, interactions)
        columns[target.name].unusable.update(unusable)
        columns[target.name].add(usable, p_target(target.policy, usable))
    return {name: one.result(DEFAULT_LEVEL, len(targets)) for name, one in columns.items()}
