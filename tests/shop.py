"""A small shop for tests: its catalog, its clock, and chains that have learned something."""

from datetime import UTC, datetime

import numpy as np

from policy.catalog import Catalog, parse_catalog
from policy.eligibility import eligibility
from policy.exploration import Exploration
from policy.learning import Student
from policy.registry import Registry, Training
from policy.request import Request
from policy.situation import Situation, Stage

# Monday, 2 March 2026: 10:07 in UTC, 11:07 in Berlin.
START_MS = 1_772_446_050_250
DAY_MS = 86_400_000

CATALOG = """\
schema = 1
name = "shop"

[channels.email]
consent = "marketing"

[channels.push]
quiet_hours = { start = "15:00", end = "08:00" }
features = { loud = true }

[offers.spring]
channels = ["email", "push"]
features = { price = 19.5 }

[offers.loyal]
channels = ["email"]

[offers.past]
channels = ["push"]
valid_until = 2026-01-01T00:00:00Z

[no_send]

[send_times]
step_minutes = 60
windows = 6
time_zone = "Europe/Berlin"

[reward]
weights = { visit = 1.0, spend = 0.1 }
attribution_days = 14
"""
TRAFFIC = """
[traffic]
random = 0.2
holdout = 0.1
baseline = 0.3

[baseline]
offer = "spring"
channel = "push"
"""


class Clock:
    """Unix time in milliseconds that passes when told."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        """Now, in milliseconds."""
        return self.now_ms

    def now(self) -> datetime:
        """Now, in UTC."""
        return datetime.fromtimestamp(self.now_ms / 1000, UTC)


def shop() -> Catalog:
    """The shop's catalog."""
    return parse_catalog(CATALOG)


def situation(plan: str = "gold") -> Situation:
    """What a policy sees of a customer who may get everything."""
    consents = frozenset({"marketing"})
    request = Request(START_MS, features={"plan": plan}, granted_consents=consents)
    return eligibility(request, shop()).situation


def register_chain(registry: Registry, seed: int = 0) -> str:
    """Registers a chain that has learned from a few random interactions; its version."""
    student, rng = Student(Exploration()), np.random.default_rng(seed)
    for _ in range(20):
        found = situation(str(rng.integers(3)))
        path: tuple[int, ...] = ()
        for _ in Stage:
            path += (int(rng.integers(found.count(path))),)
        student.learn(found, path, float(rng.random()))
    training = Training(catalog=shop().version, until="", held_out_share=0.0, caution=1.0)
    manifest = registry.register(student, training, datetime.fromtimestamp(START_MS / 1000, UTC))
    student.close()
    return manifest.version
