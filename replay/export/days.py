"""Exports the log as Parquet tables, a directory a day, and only what has changed since."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Final
from urllib.parse import quote

from decisionlog import Delivery, Tombstone, erasure
from decisionlog.extents import counts_between, expired_until, first_from
from decisionlog.ids import from_text, lower_bound, time_ms, to_text
from policy.files import write_atomically
from replay.export.columns import (
    SCHEMAS,
    decision_row,
    delivery_row,
    interaction_row,
    reward_row,
)
from replay.export.files import UNFINISHED, TableWriter, clean, row_count, rows_of, table_writer
from replay.join import DAY_MS, Joined
from replay.log_evaluation import Target, evaluation_row, is_usable
from replay.source import Source

DAYS: Final = "days"
"""Directory of the finished days' own files."""
LOGGED: Final = ("decisions", "deliveries", "rewards")
LAST_DAY_MS: Final = 253_402_214_400_000
"""9999-12-31: decisions that claim to be later are on this day, since no calendar has theirs."""


@dataclass(frozen=True, slots=True)
class DayExport:
    """A finished day."""

    day: str
    settled: bool
    """Whether every attribution window had closed."""
    settings: str
    """Whose rewards were counted, and which policies were evaluated."""
    logged: dict[str, int]
    """Rows that the log had of it, by table."""
    rows: dict[str, int]
    """Rows that were written, by table."""
    erasures: str
    """Digest of the tombstones that it honours."""


@dataclass(slots=True)
class Exported:
    """What an export did."""

    written: list[str] = field(default_factory=list)
    """Days that were written."""
    skipped: int = 0
    """Days that had not changed since they were written."""
    cleaned: int = 0
    """Rows that were taken out of earlier files, since their subjects were erased."""
    rows: Counter[str] = field(default_factory=Counter)
    """Rows that were written, by table."""


def export_days(
    source: Source,
    directory: Path,
    targets: Sequence[Target] = (),
    on_progress: Callable[[int], None] | None = None,
) -> Exported:
    """Exports decisions, deliveries, rewards and interactions by the day of the decision.

    Args:
        source: what to read; its catalog says what counts as reward.
        directory: gets `TABLE/day=YYYY-MM-DD/part-0.parquet`, and for each target
            `evaluation/NAME/day=…`.
        targets: policies to write tables for.
        on_progress: called with the decisions passed since the last call.
    """
    export = _Export(source, directory, targets, on_progress or (lambda _: None))
    export.forget()
    for start, until in export.days():
        export.day(start, until)
    return export.done


class _Export:
    def __init__(
        self,
        source: Source,
        directory: Path,
        targets: Sequence[Target],
        advance: Callable[[int], None],
    ) -> None:
        self._source = source
        self._directory = directory
        self._targets = targets
        self._advance = advance
        self._tombs = {one.subject: one for one in erasure.tombstones(source.log.store)}
        self._erasures = _digest(self._tombs)
        names = [target.name for target in targets]
        self._settings = json.dumps([source.catalog.version, names, source.made_by])
        self.done = Exported()

    def days(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Bounds of the days that the log has something of."""
        log = self._source.log
        # Whole days, even where part of one was asked for: a file must not stand for half a day.
        start, end = _midnight(self._source.start), self._end()
        while (first := first_from(log.store, start)) is not None and (end is None or first < end):
            start = _midnight(first)
            following = time_ms(start) + DAY_MS
            until = None if following > LAST_DAY_MS else lower_bound(following)
            yield start, until
            if until is None:
                return
            start = until

    def _end(self) -> bytes | None:
        until = self._source.until
        is_midnight = until is None or until == _midnight(until)
        return (
            until
            if is_midnight or until is None
            else lower_bound(time_ms(_midnight(until)) + DAY_MS)
        )

    def day(self, start: bytes, until: bytes | None) -> None:
        """Writes one day, unless it is written already and nothing has changed."""
        name = _name(start)
        logged = counts_between(self._source.log.store, start, until)
        known = self._known(name)
        expired = expired_until(self._source.log.store)
        if known is not None and (start < expired or self._is_unchanged(known, logged)):
            self.done.skipped += 1
            self._advance(logged["decisions"])
            return
        rows = self._written(name, start, until)
        settled = (
            until is not None
            and time_ms(until) + self._source.catalog.reward.attribution_days * DAY_MS
            <= self._source.as_of_ms
        )
        found = DayExport(name, settled, self._settings, logged, rows, self._erasures)
        write_atomically(self._file(name), json.dumps(asdict(found), indent=1) + "\n")
        self.done.written.append(name)
        self.done.rows.update(rows)

    def forget(self) -> None:
        """Takes erased subjects out of what was written before, and removes what was cut short."""
        for path in self._directory.rglob(f"*{UNFINISHED}"):
            path.unlink()
        for name in self._written_days() if self._tombs else ():
            known = self._known(name)
            if known is None or known.erasures != self._erasures:
                self._clean(name, known)

    def _written_days(self) -> list[str]:
        """Days that there are tables of, finished or not."""
        parts = (self._directory / "decisions").glob("day=*/*.parquet")
        return sorted(part.parent.name.removeprefix("day=") for part in parts)

    def _known(self, name: str) -> DayExport | None:
        path = self._file(name)
        return DayExport(**json.loads(path.read_bytes())) if path.exists() else None

    def _is_unchanged(self, known: DayExport, logged: dict[str, int]) -> bool:
        same = known.settings == self._settings and known.logged == logged
        return same and known.settled

    def _file(self, name: str) -> Path:
        return self._directory / DAYS / f"{name}.json"

    def _tables(self) -> dict[str, str]:
        """Path of each table in the directory, and the schema that it has."""
        found = {name: name for name in (*LOGGED, "interactions")}
        return found | {_evaluation(target): "evaluation" for target in self._targets}

    def _written(self, name: str, start: bytes, until: bytes | None) -> dict[str, int]:
        with ExitStack() as stack:
            writers = {
                table: stack.enter_context(
                    table_writer(_part(self._directory / table, name), SCHEMAS[schema])
                )
                for table, schema in self._tables().items()
            }
            for joined in self._source.outcomes(start, until):
                self._add(joined, writers)
                self._advance(1)
            for orphan in self._source.orphans(start, until):
                if isinstance(orphan, Delivery):
                    writers["deliveries"].add(delivery_row(orphan, None))
                else:
                    writers["rewards"].add(reward_row(orphan, None))
        return {table: writer.count for table, writer in writers.items()}

    def _add(self, joined: Joined, writers: dict[str, TableWriter]) -> None:
        logged, subject = joined.logged, joined.logged.decision.subject
        writers["decisions"].add(decision_row(logged.decision))
        for delivery in logged.deliveries:
            writers["deliveries"].add(delivery_row(delivery, subject))
        for reward in logged.rewards:
            writers["rewards"].add(reward_row(reward, subject))
        one = joined.interaction
        if one is None:
            return
        writers["interactions"].add(interaction_row(one))
        for target in self._targets:
            if is_usable(one, target):
                identity = {"decision_id": to_text(one.decision.decision_id)}
                row = {**identity, **evaluation_row(one, target)}
                writers[_evaluation(target)].add(row)

    def _clean(self, name: str, known: DayExport | None) -> None:
        """Takes the erased out of all files of a day, other policies' tables too."""
        gone = {
            decision_id
            for decision_id, subject in rows_of(
                _part(self._directory / "decisions", name), ["decision_id", "subject"]
            )
            if self._is_erased(bytes.fromhex(subject), from_text(decision_id))
        }
        # The decisions come last: they tell a run that goes on after a crash who has to go.
        for table in sorted(self._parts(name), key="decisions".__eq__) if gone else ():
            path = _part(self._directory / table, name)
            self.done.cleaned += clean(path, lambda decision_id: decision_id not in gone)
        if known is not None:
            self._note_cleaned(known)

    def _note_cleaned(self, known: DayExport) -> None:
        """Lets a finished day say what is left of it."""
        parts = self._parts(known.day)
        rows = {
            table: row_count(_part(self._directory / table, known.day))
            for table in known.rows
            if table in parts
        }
        # What the log has by now is found out anew: it has forgotten the same.
        logged = {
            table: known.logged[table] - known.rows[table] + rows.get(table, 0) for table in LOGGED
        }
        facts = asdict(known) | {"rows": rows, "logged": logged, "erasures": self._erasures}
        write_atomically(self._file(known.day), json.dumps(facts, indent=1) + "\n")

    def _parts(self, name: str) -> set[str]:
        """Paths of the tables that have a file of a day."""
        parts = self._directory.rglob(f"day={name}/part-0.parquet")
        return {part.parents[1].relative_to(self._directory).as_posix() for part in parts}

    def _is_erased(self, subject: bytes, decision_id: bytes) -> bool:
        tomb = self._tombs.get(subject)
        return tomb is not None and tomb.covers(subject, decision_id)


def _digest(tombs: Mapping[bytes, Tombstone]) -> str:
    """Says which tombstones there are. Times would not: a clock may have been set back."""
    facts = sorted(one.subject + one.through for one in tombs.values())
    return blake2b(b"".join(facts), digest_size=16).hexdigest() if facts else ""


def _part(table: Path, day: str) -> Path:
    return table / f"day={day}" / "part-0.parquet"


def _evaluation(target: Target) -> str:
    """Where a policy's table is; its name is whatever somebody gave."""
    return f"evaluation/{quote(target.name, safe='')}"


def _midnight(decision_id: bytes) -> bytes:
    """The first id of the day of an id."""
    day_ms = time_ms(decision_id) // DAY_MS * DAY_MS
    return lower_bound(min(day_ms, LAST_DAY_MS))


def _name(start: bytes) -> str:
    return f"{datetime.fromtimestamp(time_ms(start) / 1000, UTC):%Y-%m-%d}"
