"""Checks of the log itself: what makes an evaluation wrong whatever policy is evaluated."""

from replay.checks.arms import ArmCheck
from replay.checks.deliveries import DeliveryCheck
from replay.checks.draws import DrawCheck
from replay.checks.log_checks import LogChecks, LogFindings
from replay.checks.maturity import MaturityCheck

__all__ = [
    "ArmCheck",
    "DeliveryCheck",
    "DrawCheck",
    "LogChecks",
    "LogFindings",
    "MaturityCheck",
]
