"""Exports the log as Parquet tables, a directory a day, and only what has changed since."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from decisionlog.extents import counts_between, expired_until, first_from
from decisionlog.ids import lower_bound, time_ms, to_text
from replay.export.cleaning import Cleaning
from replay.export.day_facts import LOGGED, DayFacts, DayFile
from replay.export.day_tables import EVALUATION, LOG_TABLES, DayTables, opened
from replay.export.files import count_before, part_of
from replay.join import DAY_MS
from replay.log_evaluation import Target
from replay.snapshot import end_of
from replay.source import Source

STRETCH: Final = 4_096
"""Decisions after which it is looked what retention has taken meanwhile."""


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
    stale: list[str] = field(default_factory=list)
    """Policies whose tables are there, were not asked for, and are older than the others."""


def export_days(
    source: Source,
    directory: Path,
    targets: Sequence[Target] = (),
    on_progress: Callable[[int], None] | None = None,
) -> Exported:
    """Exports decisions, deliveries, rewards and interactions by the day of the decision.

    Args:
        source: what to read, and from which moment; its catalog says what counts as reward.
        directory: gets `TABLE/day=YYYY-MM-DD/part-0.parquet`, and for each target
            `evaluation/NAME/day=…`.
        targets: policies to write tables for.
        on_progress: called with the decisions passed since the last call.
    """
    cleaning = Cleaning(source.log.store, directory)
    export = _Export(source, directory, targets, cleaning.digest, on_progress or (lambda _: None))
    export.done.cleaned = cleaning.run()
    for day in _days(source):
        export.day(day)
    export.done.stale = export.stale()
    return export.done


@dataclass(frozen=True, slots=True)
class _Day:
    """A day of the log."""

    start: bytes
    until: bytes
    """The first id that is not of it, or not looked at."""

    @property
    def name(self) -> str:
        return f"{datetime.fromtimestamp(time_ms(self.start) / 1000, UTC):%Y-%m-%d}"

    @property
    def end_ms(self) -> int:
        """The midnight that ends it, Unix time."""
        return time_ms(self.start) + DAY_MS


def _days(source: Source) -> Iterator[_Day]:
    """The days that the log has something of."""
    # Whole days, even where part of one was asked for: a file must not stand for half a day.
    start, end = _midnight(source.start), _end(source)
    while (first := first_from(source.log.store, start)) is not None and first < end:
        midnight = _midnight(first)
        start = lower_bound(time_ms(midnight) + DAY_MS)
        yield _Day(midnight, min(start, end))


def _end(source: Source) -> bytes:
    """The first id that is not exported."""
    if source.until is None:
        return source.end
    midnight = _midnight(source.until)
    is_whole = source.until == midnight
    return end_of(
        source.as_of_ms, midnight if is_whole else lower_bound(time_ms(midnight) + DAY_MS)
    )


def _midnight(decision_id: bytes) -> bytes:
    """The first id of the day of an id."""
    return lower_bound(time_ms(decision_id) // DAY_MS * DAY_MS)


class _Export:
    def __init__(
        self,
        source: Source,
        directory: Path,
        targets: Sequence[Target],
        erasures: str,
        advance: Callable[[int], None],
    ) -> None:
        self._source = source
        self._directory = directory
        self._days = DayFile(directory)
        self._targets = {_table(target): target for target in targets}
        self._erasures = erasures
        self._advance = advance
        self._settings = json.dumps([source.catalog.version, source.made_by])
        self.done = Exported()

    def day(self, day: _Day) -> None:
        """Writes the tables of one day that have changed."""
        rows, known = self._rows(day), self._days.read(day.name)
        tables = self._outdated(day, known, rows)
        if not tables:
            self.done.skipped += 1
            self._advance(rows["decisions"])
            return
        written = self._written(day, tables)
        facts = known
        if facts is None or written.has_log:
            facts = self._facts(day, known, written)
        made_from = dict.fromkeys(self._targets, facts.basis)
        self._days.write(replace(facts, made_from={**facts.made_from, **made_from}))
        self.done.written.append(day.name)
        self.done.rows.update(written.counts)

    def stale(self) -> list[str]:
        """Policies that were not asked for, whose tables are older than the others of some day."""
        there = {f"{EVALUATION}/{path.name}" for path in (self._directory / EVALUATION).glob("*")}
        found = [facts for facts in map(self._days.read, self._days.names()) if facts is not None]
        return [
            unquote(table.removeprefix(f"{EVALUATION}/"))
            for table in sorted(there - self._targets.keys())
            if any(facts.made_from.get(table) != facts.basis for facts in found)
        ]

    def _is_settled(self, day: _Day) -> bool:
        closes_ms = day.end_ms + self._source.catalog.reward.attribution_days * DAY_MS
        return closes_ms <= self._source.as_of_ms

    def _rows(self, day: _Day) -> dict[str, int]:
        """How many rows there are of a day: in the log, and of what expired in its tables."""
        store = self._source.log.store
        expired = _within(expired_until(store), day)
        found = counts_between(store, expired, day.until)
        if expired == day.start:
            return found
        return {
            table: count + count_before(self._part(table, day), to_text(expired))
            for table, count in found.items()
        }

    def _part(self, table: str, day: _Day) -> Path:
        return part_of(self._directory / table, day.name)

    def _outdated(self, day: _Day, known: DayFacts | None, rows: dict[str, int]) -> list[str]:
        """The tables of a day that are not there, or do not say what the log says now."""
        everything = [*LOG_TABLES, *self._targets]
        if known is None or not self._is_settled(day):
            return everything
        if not known.holds(self._settings, rows, self._source.as_of_ms):
            return everything
        missing = {table for table in everything if not self._part(table, day).exists()}
        if not missing.isdisjoint(LOG_TABLES):
            return everything
        made_from = known.made_from
        return [one for one in self._targets if one in missing or made_from.get(one) != known.basis]

    def _facts(self, day: _Day, before: DayFacts | None, written: DayTables) -> DayFacts:
        # Rows that were kept came no later than what was known before.
        is_kept = expired_until(self._source.log.store) > day.start
        earlier_ms = before.latest_ms if before is not None and is_kept else 0
        return DayFacts(
            day=day.name,
            settled=self._is_settled(day),
            settings=self._settings,
            rows={table: written.counts[table] for table in LOGGED},
            latest_ms=max(written.latest_ms, earlier_ms),
            erasures=self._erasures,
            made_from={} if before is None else before.made_from,
        )

    def _written(self, day: _Day, tables: Sequence[str]) -> DayTables:
        """Writes tables from the log, and from those before what the log has no more."""
        parts = {table: self._part(table, day) for table in tables}
        targets = {table: one for table, one in self._targets.items() if table in parts}
        store = self._source.log.store
        with opened(parts, targets) as written:
            begin = _within(expired_until(store), day)
            written.keep(day.start, begin)
            for low, high in self._stretches(begin, day.until):
                there = self._add(written, low, high)
                # What retention took meanwhile, before or after it was read, is in earlier tables.
                written.keep(low, min(expired_until(store), high), there)
        return written

    def _stretches(self, start: bytes, until: bytes) -> Iterator[tuple[bytes, bytes]]:
        starts = self._source.log.cuts(STRETCH, start=start, until=until)
        return pairwise([start, *starts[1:], until])

    def _add(self, written: DayTables, start: bytes, until: bytes) -> AbstractSet[bytes]:
        """Adds a stretch of the log; returns the ids of the decisions that something is of."""
        decided, orphaned = set[bytes](), set[bytes]()
        for joined in self._source.outcomes(start, until):
            written.add(joined)
            decided.add(joined.logged.decision.decision_id)
            self._advance(1)
        for orphan in self._source.orphans(start, until):
            # A decision that went between the two readings has its reports already.
            if orphan.decision_id not in decided:
                written.add_orphan(orphan)
                orphaned.add(orphan.decision_id)
        return decided | orphaned


def _within(decision_id: bytes, day: _Day) -> bytes:
    """An id, or the bound of a day where it is not of the day."""
    return min(max(decision_id, day.start), day.until)


def _table(target: Target) -> str:
    """Where a policy's table is; its name is whatever somebody gave."""
    return f"{EVALUATION}/{quote(target.name, safe='')}"
