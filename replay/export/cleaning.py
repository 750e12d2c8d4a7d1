"""Takes erased subjects out of tables that were exported before."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from decisionlog import Tombstone, erasure
from decisionlog.ids import from_text
from decisionlog.store import Store
from replay.export.day_facts import LOGGED, DayFacts, DayFile
from replay.export.files import UNFINISHED, clean, part_of, row_count, rows_of


class Cleaning:
    """Honours the tombstones of a log in a directory of tables."""

    def __init__(self, store: Store, directory: Path) -> None:
        self._directory = directory
        self._days = DayFile(directory)
        self._tombs = {one.subject: one for one in erasure.tombstones(store)}
        self.digest = _digest(self._tombs)
        """Says which tombstones there are; empty if there are none."""

    def run(self) -> int:
        """Cleans every day that does not honour all of them; returns how many rows went.

        What a run that was killed was writing goes as well.
        """
        for path in self._directory.rglob(f"*{UNFINISHED}"):
            path.unlink()
        return sum(self._clean(name) for name in self._written_days() if self._tombs)

    def _written_days(self) -> list[str]:
        """Days that there are tables of, finished or not."""
        parts = (self._directory / "decisions").glob("day=*/*.parquet")
        return sorted(part.parent.name.removeprefix("day=") for part in parts)

    def _clean(self, day: str) -> int:
        """Takes the erased out of all files of a day, other policies' tables too."""
        facts = self._days.read(day)
        if facts is not None and facts.erasures == self.digest:
            return 0
        identities = rows_of(self._part("decisions", day), ["decision_id", "subject"])
        gone = {name for name, subject in identities if self._is_erased(subject, name)}
        # The decisions come last: they tell a run that goes on after a crash who has to go.
        tables = sorted(self._tables(day), key="decisions".__eq__) if gone else ()
        count = sum(clean(self._part(table, day), lambda one: one not in gone) for table in tables)
        if facts is not None:
            self._days.write(self._cleaned(facts))
        return count

    def _cleaned(self, facts: DayFacts) -> DayFacts:
        """What a day says of what is left of it: the log has forgotten the same."""
        rows = {table: row_count(self._part(table, facts.day)) for table in LOGGED}
        found = replace(facts, rows=rows, erasures=self.digest)
        bases = {
            table: found.basis if basis == facts.basis else basis
            for table, basis in facts.made_from.items()
        }
        return replace(found, made_from=bases)

    def _tables(self, day: str) -> set[str]:
        """Paths of the tables that have a file of a day."""
        parts = self._directory.rglob(f"day={day}/part-0.parquet")
        return {part.parents[1].relative_to(self._directory).as_posix() for part in parts}

    def _part(self, table: str, day: str) -> Path:
        return part_of(self._directory / table, day)

    def _is_erased(self, subject_text: str, decision_id: str) -> bool:
        subject = bytes.fromhex(subject_text)
        tomb = self._tombs.get(subject)
        return tomb is not None and tomb.covers(subject, from_text(decision_id))


def _digest(tombs: Mapping[bytes, Tombstone]) -> str:
    """Says which tombstones there are. Times would not: a clock may have been set back."""
    facts = sorted(one.subject + one.through for one in tombs.values())
    return blake2b(b"".join(facts), digest_size=16).hexdigest() if facts else ""
