"""Worlds with known truth, learners to try in them, and exact values to hold them against."""

from replay.simulator.learners import LEARNERS, Learner, learner
from replay.simulator.reference import ReferenceWorld
from replay.simulator.run import Point, Simulation, simulate
from replay.simulator.truth import Oracle, best_value, captured, mean_value, policy_value
from replay.simulator.world import Encounter, Outcome, World

__all__ = [
    "LEARNERS",
    "Encounter",
    "Learner",
    "Oracle",
    "Outcome",
    "Point",
    "ReferenceWorld",
    "Simulation",
    "World",
    "best_value",
    "captured",
    "learner",
    "mean_value",
    "policy_value",
    "simulate",
]
