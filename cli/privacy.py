"""`sendwise erase`, `export-subject`: a subject's rights to its data."""

from pathlib import Path
from typing import Annotated

import typer

from cli.opening import key_file_of, log, now_ms, record_act, writable
from cli.options import DEFAULT_DATA_DIR, DataDir, Format, KeyFile, OutputFormat
from cli.output import line, printable, progress, show
from decisionlog import AuditKind, Removed, erasure, load_keys
from decisionlog.erasure import details_of
from decisionlog.readable import KINDS, readable
from decisionlog.subject_data import held_of
from policy.rollout import Arm

ARMS = {int(arm): arm.name.lower() for arm in Arm}

Subject = Annotated[
    list[str] | None,
    typer.Option("--subject", help="Id of a subject, as callers give it; may be repeated."),
]


def erase(  # noqa: PLR0913 - one parameter an option
    *,
    data: DataDir = DEFAULT_DATA_DIR,
    key_file: KeyFile = None,
    subject: Subject = None,
    subject_file: Annotated[
        Path | None, typer.Option(help="File of subject ids, one a line.", show_default=False)
    ] = None,
    unfinished: Annotated[
        bool,
        typer.Option("--unfinished", help="Finish the erasures that were stopped half-way."),
    ] = False,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Remove subjects from the log, for good.

    Tombstones stay, so that no export or restore brings anybody back. The log is read once for all
    of them; a server may go on serving meanwhile.
    """
    subjects = [*(subject or []), *_lines(subject_file)]
    if not subjects and not unfinished:
        raise typer.BadParameter("name somebody with --subject or --subject-file")
    keys = load_keys(key_file_of(data, key_file), data_directory=data)
    with writable(data, keys) as opened:
        rows = erasure.rows_to_read(opened.store)
        with progress("Erasing", rows * (bool(subjects) + unfinished)) as advance:
            found = erasure.finish(opened.store, advance) if unfinished else {}
            pseudonyms = [keys.pseudonym(each) for each in subjects]
            if pseudonyms:
                found |= erasure.erase(opened.store, pseudonyms, now_ms(), advance)
        opened.record_act(AuditKind.ERASE, details_of(found))
    total = sum((each.removed for each in found.values()), Removed())
    unreadable = max((each.unreadable for each in found.values()), default=0)
    facts = {
        "subjects": len(found),
        "decisions": total.decisions,
        "deliveries": total.deliveries,
        "rewards": total.rewards,
        "contacts": total.contacts,
        "unreadable": unreadable,
    }

    def text() -> None:
        line(
            f"erased {len(found):,} subjects: {total.decisions:,} decisions, "
            f"{total.deliveries:,} deliveries, {total.rewards:,} rewards"
        )
        if unreadable:
            line(
                f"{unreadable:,} decisions are damaged, and whose they are cannot be told: "
                "restore the log from a backup and erase again"
            )

    show(facts, form, text)
    raise typer.Exit(1 if unreadable else 0)


def export_subject(
    *,
    data: DataDir = DEFAULT_DATA_DIR,
    key_file: KeyFile = None,
    subject: Annotated[
        str, typer.Option("--subject", help="Id of the subject.", show_default=False)
    ],
    form: OutputFormat = Format.JSON,
) -> None:
    """Print all that the log holds of a subject."""
    keys = load_keys(key_file_of(data, key_file), data_directory=data)
    with log(data) as opened, progress("Reading", erasure.rows_to_read(opened.store)) as advance:
        found = held_of(opened.store, keys.pseudonym(subject), advance)
        items = [{"kind": KINDS[type(item)], **readable(item, ARMS)} for item in found]
    record_act(data, AuditKind.EXPORT_SUBJECT, items=len(items))

    def text() -> None:
        for item in items:
            line("  ".join(printable(f"{name}={value}") for name, value in item.items()))
        line(f"{len(items):,} items")

    show({"subject": subject, "items": items}, form, text)


def _lines(path: Path | None) -> list[str]:
    """The subject ids of a file: its lines, but for empty ones.

    A mark of the byte order, as some editors write it, is no part of the first one.
    """
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{path} is not UTF-8 at byte {error.start}") from None
    return [each for line in lines if (each := line.removesuffix("\r"))]
