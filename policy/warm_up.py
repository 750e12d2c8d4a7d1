"""Compiles all that a choice needs, so that no caller waits for it: `python -m policy.warm_up`."""

import numpy as np

from policy.catalog import NO_SEND, parse_catalog
from policy.chain import Chain, Scale
from policy.choice import choose
from policy.eligibility import eligibility
from policy.exploration import Exploration
from policy.policies import Uniform
from policy.request import Request
from policy.vw import SIZE

CATALOG = """
schema = 1
name = "warm-up"
[channels.a]
[channels.b]
[offers.x]
channels = ["a", "b"]
[no_send]
[send_times]
windows = 2
[reward]
weights = { click = 1 }
"""


def warm_up() -> None:
    """Makes every kind of choice once: some twenty seconds where no code is kept yet, else one."""
    catalog = parse_catalog(CATALOG)
    weights = np.zeros((2, SIZE), dtype=np.float32)
    chain = Chain("warm-up", weights, Exploration(), Scale(0.0, 1.0), 0)
    # Not to send ends after the first stage: every draw has to be made to pass through all.
    for offers in ((), ("x",)):
        facts = {"x": {"fit": 1.0}, NO_SEND: {"fit": 1.0}}
        request = Request(0, "", {"age": 1.0}, facts, eligible_offers=offers)
        situation = eligibility(request, catalog).situation
        for policy in (chain, Uniform()):  # which draw for themselves, and through `choose`
            choose(policy, situation, 1)


if __name__ == "__main__":
    warm_up()
