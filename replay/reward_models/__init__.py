"""Reward models for `dm` and `dr`: what each action would earn, never learned from what it scores."""

from replay.reward_models.calibration import Calibration, CalibrationSummary
from replay.reward_models.crossfit import CrossFitted, RewardModelPlan, fit
from replay.reward_models.names import MODELS

__all__ = [
    "MODELS",
    "Calibration",
    "CalibrationSummary",
    "CrossFitted",
    "RewardModelPlan",
    "fit",
]
