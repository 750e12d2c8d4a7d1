"""`sendwise rekey`, `migrate`, `check-log`: a log's keys, its schema, and whether it is sound."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.key_ring import ring_path, ring_source
from cli.opening import log, record_act, writable
from cli.options import DEFAULT_DATA_DIR, DataDir, Format, OutputFormat
from cli.output import line, progress, show, table
from decisionlog import AuditKind, LogMissing, rekeying
from decisionlog.checking import check, check_beginning, rows_to_read
from decisionlog.encryption import Sealer
from decisionlog.key_files import discard_unfinished
from decisionlog.key_ring import add_key, load_ring
from decisionlog.migration import migrate as bring_up
from decisionlog.rekeying import Rekeyed
from decisionlog.store import DATA_FILE, Store
from server.directory_lock import locked


def rekey(
    data: DataDir = DEFAULT_DATA_DIR,
    *,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Add a new key to the ring first; make it if missing.")
    ] = False,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Encrypt all records under the newest key of the key ring.

    It works in small steps beside a running server; if it is stopped, call it again without
    --new-key. At its end it says which older keys no record needs any more.
    """
    log(data).close()  # where there is no log, no ring is made
    ring = ring_path(data)
    if new_key:
        add_key(ring, data_directory=data)
    else:
        discard_unfinished(ring)
    with (
        writable(data) as opened,
        progress("Sealing", rekeying.rows_to_read(opened.store)) as advance,
    ):
        done = rekeying.rekey(opened.store, advance)
        opened.record_act(AuditKind.REKEY, {"key": done.key_id.hex(), "rewritten": done.rewritten})
    unneeded = _unneeded(ring, data, done)
    facts: dict[str, Any] = {
        "key": done.key_id.hex(),
        "key_ring": str(ring),
        "rows": done.rows,
        "rewritten": done.rewritten,
        "unreadable": done.unreadable,
        "unneeded_keys": unneeded,
    }
    show(facts, form, lambda: _say(facts))
    raise typer.Exit(1 if done.unreadable else 0)


def _unneeded(ring: Path, data: Path, done: Rekeyed) -> list[dict[str, Any]]:
    """The older keys of the ring that no record needs, whichever run made it so."""
    if done.unreadable or not ring.exists():
        return []
    ids = [key.key_id for key in load_ring(ring, data_directory=data)]
    # Keys behind the one that seals are yet to be used.
    older = ids[: ids.index(done.key_id)] if done.key_id in ids else []
    return [
        {"line": number, "key": key_id.hex()}
        for number, key_id in enumerate(older, start=1)
        if key_id not in done.needed
    ]


def _say(facts: dict[str, Any]) -> None:
    line(
        f"all {facts['rows']:,} records are sealed under the key {facts['key']}, "
        f"{facts['rewritten']:,} of them anew"
        if not facts["unreadable"]
        else f"{facts['unreadable']:,} of {facts['rows']:,} records are damaged and stay as they "
        "are, with their keys: sendwise check-log lists them"
    )
    unneeded = facts["unneeded_keys"]
    for each in reversed(unneeded):  # from below: the lines above keep their numbers
        line(
            f"no record needs the key {each['key']} any more: delete line {each['line']} of "
            f"{facts['key_ring']} when no backup needs it either"
        )
    if len(unneeded) > 1:
        line("delete them in this order, from below: each that goes moves those after it")


def migrate(data: DataDir = DEFAULT_DATA_DIR, form: OutputFormat = Format.TEXT) -> None:
    """Bring a log of an earlier version to this one's schema.

    Stop the server and copy the data directory first. If it is stopped half-way, call it again.
    """
    if not (data / "log" / DATA_FILE).exists():
        raise LogMissing(data)
    with locked(data), Store(data, sealer=Sealer(ring_source(data))) as store:
        done = bring_up(store)
    if done.transactions:
        record_act(data, AuditKind.MIGRATE, from_schema=done.from_schema, to_schema=done.to_schema)
    text = f"the log had schema {done.from_schema} and has schema {done.to_schema}"
    show(asdict(done), form, lambda: line(text))


def check_log(data: DataDir = DEFAULT_DATA_DIR, form: OutputFormat = Format.TEXT) -> None:
    """Find every damaged record and page of the log.

    Reads all tables beside a running server: pages, checksums, decoding, keys, and what records
    say of each other. Fails if anything is wrong.
    """
    findings = check_beginning(data)
    checked = None
    if not findings:
        with log(data) as opened, progress("Checking", rows_to_read(opened.store)) as advance:
            checked = check(opened.store, findings.append, advance)
    facts = {
        "rows": {} if checked is None else dict(checked.rows),
        "references_checked": checked is not None and checked.references,
        "findings": [
            {"table": each.table or None, "key": each.key.hex(), "problem": each.problem}
            for each in findings
        ],
        "counts": Counter(each.table or "file" for each in findings),
    }
    show(facts, form, lambda: _say_findings(facts))
    raise typer.Exit(1 if findings else 0)


def _say_findings(facts: dict[str, Any]) -> None:
    for each in facts["findings"]:
        line(f"{each['table'] or 'file'} {each['key']}: {each['problem']}")
    if facts["rows"]:
        counts = facts["counts"]
        rows = [(each, f"{rows:,}", f"{counts[each]:,}") for each, rows in facts["rows"].items()]
        table(("table", "rows", "wrong"), rows)
    if not facts["references_checked"]:
        line("what records say of each other was not checked: pages of the file are damaged")
    if facts["findings"]:
        line(f"{len(facts['findings']):,} findings: restore the log from a backup")
    else:
        line("nothing is wrong")
