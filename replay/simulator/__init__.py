"""Worlds with known truth, learners to try in them, and exact values to hold them against."""

from replay.simulator.campaign import CampaignWorld
from replay.simulator.conformance import assert_conforms
from replay.simulator.learners import LEARNERS, Learner, make_checked_learner, make_learner
from replay.simulator.reference import ReferenceWorld
from replay.simulator.run import Point, Simulation, simulate
from replay.simulator.trial import Property, Trial, run_trial
from replay.simulator.truth import Oracle, best_value, captured, mean_value, policy_value
from replay.simulator.world import Encounter, Event, Outcome, World
from replay.simulator.worlds import WORLDS, make_world

__all__ = [
    "LEARNERS",
    "WORLDS",
    "CampaignWorld",
    "Encounter",
    "Event",
    "Learner",
    "Oracle",
    "Outcome",
    "Point",
    "Property",
    "ReferenceWorld",
    "Simulation",
    "Trial",
    "World",
    "assert_conforms",
    "best_value",
    "captured",
    "make_checked_learner",
    "make_learner",
    "make_world",
    "mean_value",
    "policy_value",
    "run_trial",
    "simulate",
]
