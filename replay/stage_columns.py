"""Stage by stage what estimators of the chain need: probabilities, and a reward model's values."""

from collections.abc import Mapping, Sequence

import numpy as np

from policy.choice import path_pmfs
from policy.policies import FloatArray, Policy
from replay.estimators import ESTIMATORS
from replay.join import Interaction
from replay.sample import STAGES
from replay.stages import STAGE_PROBABILITIES, STAGE_VALUES
from replay.sums import Floats

Pmfs = Sequence[Sequence[FloatArray]]
"""Of each interaction, the pmf of each stage along its path."""


def need_stages(estimators: Sequence[str]) -> bool:
    """Whether some estimator asks for the stages' probabilities."""
    return _needs(estimators, STAGE_PROBABILITIES)


def need_stage_values(estimators: Sequence[str]) -> bool:
    """Whether some estimator asks for a reward model's values of the stages."""
    return _needs(estimators, STAGE_VALUES)


def logged_pmfs(interactions: Sequence[Interaction]) -> Pmfs:
    """As they are in the log."""
    return [[np.asarray(stage.pmf) for stage in one.decision.stages] for one in interactions]


def target_pmfs(policy: Policy, interactions: Sequence[Interaction]) -> Pmfs:
    """Of a policy along the logged paths."""
    return [path_pmfs(policy, one.situation, one.path) for one in interactions]


def stage_columns(
    interactions: Sequence[Interaction], pmfs: Pmfs, values: Pmfs | None
) -> Mapping[str, Floats]:
    """The columns of `Sample` by stage.

    Args:
        interactions: n of them.
        pmfs: of the target policy.
        values: of a reward model, shaped as the pmfs; None without one.
    """
    logged = _chosen(interactions, logged_pmfs(interactions))
    target = _chosen(interactions, pmfs)
    columns = {"p_log": logged, "p_target": target}
    if values is not None:
        columns["q"] = _chosen(interactions, values)
        columns["v"] = np.asarray(
            [
                [float(pmf @ value) for pmf, value in zip(*each, strict=True)]
                for each in zip(pmfs, values, strict=True)
            ]
        ).reshape(-1, len(STAGES))
    return {
        f"{name}_{stage}": column[:, place]
        for name, column in columns.items()
        for place, stage in enumerate(STAGES)
    }


def _chosen(interactions: Sequence[Interaction], numbers: Pmfs) -> Floats:
    """The entries of the chosen actions, shape (n, 3)."""
    rows = [
        [float(stage[chosen]) for stage, chosen in zip(each, one.path, strict=True)]
        for one, each in zip(interactions, numbers, strict=True)
    ]
    return np.asarray(rows, dtype=np.float64).reshape(-1, len(STAGES))


def _needs(estimators: Sequence[str], columns: Sequence[str]) -> bool:
    known = [ESTIMATORS[name] for name in estimators if name in ESTIMATORS]
    return any(set(columns) & set(one.needs) for one in known)
