"""Reward models for `dm` and `dr`: what actions earn, never learned from what they score."""

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
