"""What is known of days that were exported: whether their tables say what the log says now."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from hashlib import blake2b
from pathlib import Path
from typing import Final

from policy.files import write_atomically

DAYS: Final = "days"
"""Directory of the finished days' own files."""
LOGGED: Final = ("decisions", "deliveries", "rewards")
"""Tables whose rows are rows of the log."""


@dataclass(frozen=True, slots=True)
class DayFacts:
    """A finished day."""

    day: str
    settled: bool
    """Whether every attribution window had closed."""
    settings: str
    """Whose rewards were counted."""
    rows: dict[str, int]
    """Rows of the tables `LOGGED`."""
    latest_ms: int
    """When the last of them was decided or received, Unix time; 0 if there are none."""
    erasures: str
    """Digest of the tombstones that it honours."""
    made_from: dict[str, str] = field(default_factory=dict)
    """By table of a policy: the `basis` of the day when it was written."""

    @property
    def basis(self) -> str:
        """Digest of all that a policy's table depends on beside the policy."""
        facts = [self.settled, self.settings, self.rows, self.latest_ms]
        return blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()

    def holds(self, settings: str, rows: Mapping[str, int], as_of_ms: int) -> bool:
        """Whether the day would be written the same again; it has to be settled then as well.

        Args:
            settings: of now.
            rows: that there are of it now, in the log or before it expired.
            as_of_ms: the moment that is looked from: it must not be before what is written.
        """
        is_same = self.settings == settings and self.rows == rows
        return self.settled and is_same and self.latest_ms <= as_of_ms


class DayFile:
    """The files that hold the facts of a directory's days."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / DAYS

    def names(self) -> list[str]:
        """The finished days."""
        return sorted(path.stem for path in self._directory.glob("*.json"))

    def read(self, day: str) -> DayFacts | None:
        """What is known of a day; None if nothing is, or it was noted in another form."""
        path = self._directory / f"{day}.json"
        found = json.loads(path.read_bytes()) if path.exists() else {}
        known = {each.name for each in fields(DayFacts)}
        return DayFacts(**found) if found.keys() == known else None

    def write(self, facts: DayFacts) -> None:
        """Notes a day, in the place of what was known of it."""
        content = json.dumps(asdict(facts), indent=1) + "\n"
        write_atomically(self._directory / f"{facts.day}.json", content)
