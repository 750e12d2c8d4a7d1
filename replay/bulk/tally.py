"""Joins a whole log, over processes if it is large, and counts what became of everything in it."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from decisionlog import DamagedRecord, DecisionLog
from decisionlog.bulk import table_slices
from decisionlog.tables import Table
from policy.catalog import Reward as RewardRule
from replay.bulk import decode
from replay.bulk.decode import HOLDS
from replay.bulk.join import FATE_ORDER, REPORT_COUNTS, joined_slices
from replay.join import Fate
from replay.processes import pool, workers_for

STRETCH: Final = 32_768
"""Decisions of a part on average: a tenth of a second's work. Where the log was busier than usual
a part has more."""
STRETCHES_TO_START: Final = 5
"""Parts that are joined in the time in which another process begins, for each that it has to have
by `replay.processes`."""

OpenLog = Callable[[], DecisionLog]
Stretch = tuple[bytes, bytes | None]


@dataclass(slots=True)
class Tally:
    """Counts of a stretch of the log."""

    decisions: int = 0
    """Those that can be read."""
    fates: Counter[Fate] = field(default_factory=Counter)
    """Decisions by their fate."""
    reports: Counter[str] = field(default_factory=Counter)
    """Deliveries and rewards, by `REPORT_COUNTS`."""
    contacts: Counter[str] = field(default_factory=Counter)
    """Contacts that decisions reserved: confirmed, released or open."""
    damaged: Counter[str] = field(default_factory=Counter)
    """Records that cannot be read, by table. Reports on damaged decisions count as orphaned."""

    def note(self, damage: DamagedRecord) -> None:
        """Counts a record that cannot be read."""
        self.damaged[damage.table] += 1

    def merge(self, other: "Tally") -> None:
        """Takes in what was counted elsewhere."""
        self.decisions += other.decisions
        self.fates.update(other.fates)
        self.reports.update(other.reports)
        self.contacts.update(other.contacts)
        self.damaged.update(other.damaged)


def tally(
    log: DecisionLog,
    rule: RewardRule,
    on_progress: Callable[[int], None] | None = None,
    *,
    open_log: OpenLog | None = None,
    processes: int | None = None,
) -> Tally:
    """Joins a log and counts; others may go on writing to it.

    Args:
        log: where to read.
        rule: says how long rewards are attributed.
        on_progress: called with the decisions read since the last call.
        open_log: opens the same log in another process; None where only this one may read it.
        processes: the most to use; None: one a core. The counts are the same for any number.
    """
    found = Tally()
    for part in _parts(log, rule, open_log, processes):
        found.merge(part)
        if on_progress:
            on_progress(part.decisions)
    return found


def _parts(
    log: DecisionLog, rule: RewardRule, open_log: OpenLog | None, processes: int | None
) -> Iterator[Tally]:
    cuts = log.even_cuts(log.counts().decisions // STRETCH)
    # Reports may lie before the first decision and behind the last one.
    stretches: list[Stretch] = list(zip([b"", *cuts], [*cuts, None], strict=True))
    workers = workers_for(len(stretches) // STRETCHES_TO_START, processes)
    if workers < 2 or open_log is None:  # noqa: PLR2004 - one process is this one
        yield from (_tally(log, rule, stretch) for stretch in stretches)
        return
    with pool(workers, _open_worker, open_log, rule) as others:
        yield from others.map(_tally_there, stretches)


class _Worker:
    """What a process holds open until it ends."""

    log: DecisionLog
    rule: RewardRule


def _open_worker(open_log: OpenLog, rule: RewardRule) -> None:
    _Worker.log, _Worker.rule = open_log(), rule


def _tally_there(stretch: Stretch) -> Tally:
    return _tally(_Worker.log, _Worker.rule, stretch)


def _tally(log: DecisionLog, rule: RewardRule, stretch: Stretch) -> Tally:
    start, until = stretch
    found = Tally()
    for part in joined_slices(log, rule, start=start, until=until, on_damage=found.note):
        found.decisions += len(part.fate)
        fates = np.bincount(part.fate, minlength=len(FATE_ORDER)).tolist()
        found.fates.update(dict(zip(FATE_ORDER, fates, strict=True)))
        found.reports.update({count: getattr(part, count) for count in REPORT_COUNTS})
    for rows in table_slices(log.store, Table.CONTACTS, start=start, until=until):
        holds = np.bincount(decode.holds(rows, found.note), minlength=len(HOLDS)).tolist()
        found.contacts.update(dict(zip(HOLDS, holds, strict=True)))
    return found
