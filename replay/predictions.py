"""What a policy was expected to earn, written down before it ran."""

import json
from dataclasses import asdict
from pathlib import Path

from policy.files import write_atomically
from replay.estimate import Estimate


class Predictions:
    """One file a policy, below a data directory; the last prediction before a promotion counts."""

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir / "predictions"

    def write(self, version: str, estimate: Estimate) -> None:
        """Notes what a policy is expected to earn for one decision."""
        write_atomically(self._path(version), json.dumps(asdict(estimate), indent=2))

    def read(self, version: str) -> Estimate | None:
        """What was expected of a policy; None if nobody said."""
        try:
            found = json.loads(self._path(version).read_bytes())
        except FileNotFoundError:
            return None
        low, high = found["interval"]
        return Estimate(found["value"], (low, high), found["method"])

    def _path(self, version: str) -> Path:
        return self._directory / f"{version.replace('/', '_')}.json"
