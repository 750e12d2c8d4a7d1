"""What the Open Bandit Pipeline takes for given rows; runs in an environment of its own.

`PYTHON open_bandit_peer.py ROWS.npz` prints a JSON object: for each estimator its value, the
seconds of processor time that it took without making its arguments, and at last the memory of the
process in MiB at most. It imports nothing of ours, which that environment does not have.
"""

import json
import resource
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from obp.ope import (
    DoublyRobust,
    InverseProbabilityWeighting,
    SelfNormalizedDoublyRobust,
    SelfNormalizedInverseProbabilityWeighting,
)

ESTIMATORS: Final = {
    "ips": InverseProbabilityWeighting,
    "snips": SelfNormalizedInverseProbabilityWeighting,
    "dr": DoublyRobust,
    "sndr": SelfNormalizedDoublyRobust,
}


def arguments(columns: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Two actions, the logged one and the rest: the least that its dense matrices can hold."""
    rows = len(columns["reward"])
    target, logged = columns["p_target"], columns["q_logged"]
    rest = (columns["v_target"] - target * logged) / (1 - target)
    return {
        "reward": columns["reward"],
        "action": np.zeros(rows, dtype=int),
        "pscore": columns["p_log"],
        "action_dist": np.stack([target, 1 - target], axis=1)[:, :, np.newaxis],
        "estimated_rewards_by_reg_model": np.stack([logged, rest], axis=1)[:, :, np.newaxis],
    }


def main(path: str) -> None:
    """Measure and print."""
    with np.load(path) as columns:
        given = arguments(columns)
    found: dict[str, Any] = {}
    for name, kind in ESTIMATORS.items():
        estimator = kind()
        started = time.process_time()
        value = estimator.estimate_policy_value(**given)
        found[name] = {"value": float(value), "seconds": time.process_time() - started}
    found["memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


main(sys.argv[1])
