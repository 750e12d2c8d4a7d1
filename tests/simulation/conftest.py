"""Every simulation draws from one seed, which it prints; the same seed gives the same run."""

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from secrets import randbits

import pytest


@pytest.fixture
def rng() -> random.Random:
    """Return the run's randomness; set SEED to repeat a run."""
    seed = int(os.environ.get("SEED") or randbits(32))
    print(f"seed {seed}; repeat with SEED={seed}")  # noqa: T201 - shown when the test fails
    return random.Random(seed)  # noqa: S311 - chooses faults, guards nothing


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a directory on a file system of 1 MiB; only root may mount one."""
    directory = tmp_path / "disk"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        reason = "NOT TESTED: a full disk; this user may not mount a small file system"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)
