"""The tables of one day while they are written."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from decisionlog import Delivery, Reward
from decisionlog.ids import to_text
from replay.export.columns import (
    SCHEMAS,
    decision_row,
    delivery_row,
    interaction_row,
    reward_row,
)
from replay.export.files import TableWriter, rows_between, table_writer
from replay.join import Joined
from replay.log_evaluation import Target, evaluation_row, is_usable

LOG_TABLES: Final = ("decisions", "deliveries", "rewards", "interactions")
"""Tables that tell of the log; they are written together."""
EVALUATION: Final = "evaluation"
"""Directory of the policies' tables."""


class DayTables:
    """Takes what is of a day; tables that are not asked for are left as they are."""

    def __init__(
        self,
        writers: Mapping[str, TableWriter],
        earlier: Mapping[str, Path],
        targets: Mapping[str, Target],
    ) -> None:
        self.latest_ms = 0
        """When the last of the log's rows was decided or received, Unix time."""
        self._writers = writers
        self._earlier = earlier
        self._targets = targets
        self.has_log = LOG_TABLES[0] in writers
        """Whether the log's own tables are written."""

    @property
    def counts(self) -> dict[str, int]:
        """Rows so far, by table."""
        return {table: writer.count for table, writer in self._writers.items()}

    def add(self, joined: Joined) -> None:
        """Takes a decision with its reports."""
        if self.has_log:
            self._add_logged(joined)
        one = joined.interaction
        if one is None:
            return
        identity = {"decision_id": to_text(one.decision.decision_id)}
        for table, target in self._targets.items():
            if is_usable(one, target):
                self._writers[table].add({**identity, **evaluation_row(one, target)})

    def add_orphan(self, report: Delivery | Reward) -> None:
        """Takes a report on a decision that the log does not hold."""
        if self.has_log:
            self._add_report(report, None)

    def keep(self, start: bytes, until: bytes, there: AbstractSet[bytes] = frozenset()) -> None:
        """Takes over what earlier tables have between two ids, if the log has it no more.

        Args:
            start: the first id.
            until: the first one that is left out; nothing is taken if it is not behind the first.
            there: ids of the decisions that the log has something of.
        """
        if start >= until:
            return
        bounds, known = (to_text(start), to_text(until)), [to_text(one) for one in there]
        for table, writer in self._writers.items():
            for rows in rows_between(self._earlier[table], writer.schema, bounds, known):
                writer.add_all(rows)

    def _add_logged(self, joined: Joined) -> None:
        logged, decision = joined.logged, joined.logged.decision
        self._writers["decisions"].add(decision_row(decision))
        self.latest_ms = max(self.latest_ms, decision.decided_at_ms)
        reports: tuple[Delivery | Reward, ...] = (*logged.deliveries, *logged.rewards)
        for report in reports:
            self._add_report(report, decision.subject)
        if joined.interaction is not None:
            self._writers["interactions"].add(interaction_row(joined.interaction))

    def _add_report(self, report: Delivery | Reward, subject: bytes | None) -> None:
        self.latest_ms = max(self.latest_ms, report.received_at_ms)
        if isinstance(report, Delivery):
            self._writers["deliveries"].add(delivery_row(report, subject))
        else:
            self._writers["rewards"].add(reward_row(report, subject))


@contextmanager
def opened(parts: Mapping[str, Path], targets: Mapping[str, Target]) -> Iterator[DayTables]:
    """Yields the tables of a day to write to; each is there as a whole when the block has ended.

    Args:
        parts: where the file of each table is to be; the one that is there is replaced.
        targets: by table, the policies among them.
    """
    with ExitStack() as stack:
        writers = {
            table: stack.enter_context(table_writer(path, SCHEMAS[table.split("/")[0]]))
            for table, path in parts.items()
        }
        yield DayTables(writers, parts, targets)
