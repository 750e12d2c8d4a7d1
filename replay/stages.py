"""Importance weights of the stages of an action, multiplied as the action is built."""

from collections.abc import Iterator

import numpy as np

from replay.sample import STAGES, Sample, importance_weight
from replay.sums import Floats

STAGE_PROBABILITIES = tuple(
    f"{policy}_{stage}" for policy in ("p_log", "p_target") for stage in STAGES
)
"""The columns that stage estimators need."""

STAGE_VALUES = tuple(f"{kind}_{stage}" for kind in ("q", "v") for stage in STAGES)
"""The columns of a reward model's values by stage."""


def cumulative_weights(sample: Sample, needed_by: str) -> Iterator[Floats]:
    """The weight of the offer, of offer and channel, and of the whole action; each shape (n,)."""
    logged, target = np.ones(len(sample)), np.ones(len(sample))
    for stage in STAGES:
        logged = logged * sample.require(f"p_log_{stage}", needed_by)
        target = target * sample.require(f"p_target_{stage}", needed_by)
        yield importance_weight(target, logged)
