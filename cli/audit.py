"""`sendwise verify`, `ledger`, `audit`: whether the log is what it should be, and what was not."""

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import typer

from cli.opening import Scope, bound, log, source, warn_of_damage
from cli.options import (
    DEFAULT_DATA_DIR,
    CatalogFile,
    DataDir,
    Format,
    OutputFormat,
    Processes,
    Since,
    Until,
    UntilId,
)
from cli.output import line, printable, progress, show, table
from decisionlog import AuditEntry
from decisionlog.ids import to_text
from replay.ledger import Ledger
from replay.ledger import ledger as reconcile
from replay.verify import verify as recompute


def verify(  # noqa: PLR0913 - one parameter an option
    *,
    data: DataDir = DEFAULT_DATA_DIR,
    since: Since = None,
    until: Until = None,
    until_id: UntilId = None,
    processes: Processes = None,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Recompute every logged probability and draw.

    Fails if one differs.
    """
    scope = Scope(since=since, until=until, until_id=until_id)
    with source(data, scope) as found, progress("Verifying", found.size) as advance:
        # Ids may run ahead of the clock: of these, too, none is left out.
        sought = replace(found.sought, until=found.until)
        result = recompute(sought, advance, processes)
    facts = {
        "decisions": result.decisions,
        "exact": result.exact,
        "mismatched": result.mismatched,
        "mismatches": [asdict(mismatch) for mismatch in result.mismatches],
    }

    def text() -> None:
        line(f"{result.exact:,} of {result.decisions:,} decisions recomputed exactly")
        for mismatch in result.mismatches:
            line(f"{mismatch.decision_id}: {mismatch.reason}")

    show(facts, form, text)
    raise typer.Exit(1 if result.mismatched else 0)


def ledger(
    data: DataDir = DEFAULT_DATA_DIR,
    catalog: CatalogFile = None,
    processes: Processes = None,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Reconcile the log: all that came in is counted once.

    Always the whole log, as it was counted when it came in. Fails if it does not balance.
    """
    with source(data, Scope(catalog)) as found, progress("Counting", found.size) as advance:
        result = reconcile(
            found.log,
            found.catalog.reward,
            advance,
            open_log=found.open_log,
            processes=processes,
        )
    facts = {**asdict(result), "balanced": result.balanced}
    show(facts, form, lambda: _text(result))
    if result.damaged:
        warn_of_damage(f"{result.damaged:,} records are counted by their number alone")
    raise typer.Exit(0 if result.balanced and not result.damaged else 1)


def audit(
    data: DataDir = DEFAULT_DATA_DIR,
    since: Since = None,
    until: Until = None,
    form: OutputFormat = Format.TEXT,
) -> None:
    """List what happened outside the usual rules, and acts.

    In order of time: critical requests that bypassed caps or quiet hours, and what was done by
    those who run the service: starts, changes of the rollout, erasures, exports and the like.
    """
    with log(data) as opened:
        trail = opened.audit_trail(start=bound(since) or b"", until=bound(until))
        entries = [_entry(entry) for entry in trail]

    def text() -> None:
        for each in entries:
            line("  ".join([each["time"], each["kind"], *_words(each)]))
        line(f"{len(entries):,} entries")

    show({"entries": entries}, form, text)


def _entry(entry: AuditEntry) -> dict[str, Any]:
    moment = datetime.fromtimestamp(entry.occurred_at_ms / 1000, UTC)
    return {
        "time": moment.isoformat(timespec="milliseconds"),
        "kind": entry.kind.name.lower(),
        "decision_id": to_text(entry.decision_id) if entry.decision_id else None,
        "bypassed": list(entry.bypassed),
        "by": entry.actor or None,
        "details": dict(entry.details),
    }


def _words(entry: dict[str, Any]) -> list[str]:
    """What an entry says beside time and kind."""
    words = [entry["decision_id"], ", ".join(entry["bypassed"]), entry["by"]]
    said = [f"{name}={value}" for name, value in entry["details"].items()]
    return [printable(word) for word in [*words, *said] if word]


def _text(result: Ledger) -> None:
    rows = [(name.replace("_", " "), f"{count:,}") for name, count in asdict(result).items()]
    table(("", "count"), rows)
    line("balanced" if result.balanced else "NOT balanced: the log has lost or doubled something")
