"""Every simulation draws from one seed, which it prints; the same seed gives the same run."""

import os
import random
from secrets import randbits

import pytest


@pytest.fixture
def rng() -> random.Random:
    """Return the run's randomness; set SEED to repeat a run."""
    seed = int(os.environ.get("SEED") or randbits(32))
    print(f"seed {seed}; repeat with SEED={seed}")  # noqa: T201 - shown when the test fails
    return random.Random(seed)  # noqa: S311 - chooses faults, guards nothing
