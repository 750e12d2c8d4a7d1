"""System programs that some tests start: found, or missed loudly."""

import os
import shutil
from pathlib import Path

import pytest


def require_program(name: str) -> Path:
    """The program's path.

    Where it is missing the test is skipped by name, or fails if the environment says `CI=true`:
    a run that proves less than it should must not look like one that proves all.
    """
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    message = f"{name} is not installed: `make system` installs it where it may"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
