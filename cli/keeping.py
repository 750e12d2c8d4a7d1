"""`sendwise retain`: keeps the log within limits of age and size."""

import re
from typing import Annotated

import typer

from cli.opening import now_ms, present_catalog, writable
from cli.options import DEFAULT_DATA_DIR, DataDir, Format, OutputFormat
from cli.output import line, progress, show
from decisionlog import AuditKind, DecisionLog, Removed
from decisionlog.ids import time_ms
from decisionlog.retention import oldest, used_bytes
from decisionlog.upkeep import DAYS_MAX, Limits, Upkeep
from policy.contact_rules import reach_ms
from server.preparation import check_retention

DAY_MS = 86_400_000
_UNITS = {"h": DAY_MS // 24, "d": DAY_MS, "w": 7 * DAY_MS, "y": 365 * DAY_MS}
_AGE = re.compile(r"(\d{1,9}(?:\.\d+)?)([hdwy])")
_PREFIXES = {"": 0, "Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d+)?)(Ki|Mi|Gi|Ti|)B")


def retain(
    *,
    data: DataDir = DEFAULT_DATA_DIR,
    older_than: Annotated[
        str | None,
        typer.Option(help="Remove decisions older than this: 36h, 400d, 8w or 2y."),
    ] = None,
    max_bytes: Annotated[
        str | None,
        typer.Option(
            help="Remove the oldest decisions where more is in use: 500MiB, 50GiB or 2TiB."
        ),
    ] = None,
    request_days: Annotated[
        float | None,
        typer.Option(
            help="Forget request ids after this; a repeat then counts as a new request.",
            show_default="as long as their decisions, or the server's own limit",
        ),
    ] = None,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Remove what is too old or too much, the oldest first.

    A server may go on serving meanwhile.
    """
    catalog = present_catalog(data)
    limits = Limits(
        age_ms=None if older_than is None else _age_ms(older_than),
        size_bytes=None if max_bytes is None else _bytes(max_bytes),
        request_age_ms=None if request_days is None else _request_age_ms(request_days),
        reach_ms=reach_ms(catalog),
    )
    check_retention("older_than", limits.age_ms, catalog)
    with writable(data) as opened:
        upkeep = Upkeep(opened.store, limits, now_ms)
        removed = _expire(opened, upkeep)
        upkeep.begin_sweep()
        with progress("Sweeping", upkeep.rows_to_sweep()) as advance:
            while upkeep.sweep():
                advance(2_000)
        asked = {"older_than": older_than, "max_bytes": max_bytes}
        given = {name: value for name, value in asked.items() if value}
        opened.record_act(AuditKind.RETAIN, {"decisions": removed.decisions, **given})
        facts = {
            "decisions": removed.decisions,
            "deliveries": removed.deliveries,
            "rewards": removed.rewards,
            "contacts": removed.contacts,
            "used_bytes": used_bytes(opened.store),
            "file_bytes": opened.store.file_bytes(),
            "within_size": not upkeep.is_too_large(),
        }

    def text() -> None:
        line(
            f"removed {removed.decisions:,} decisions, {removed.deliveries:,} deliveries, "
            f"{removed.rewards:,} rewards; {facts['used_bytes']:,} bytes of "
            f"{facts['file_bytes']:,} are in use"
        )
        if not facts["within_size"]:
            line("more than may be: rules still look at all that is left")

    show(facts, form, text)
    raise typer.Exit(0 if facts["within_size"] else 1)


def _expire(opened: DecisionLog, upkeep: Upkeep) -> Removed:
    """Removes slice by slice; progress is the time that the oldest decision has moved on."""
    removed, first = Removed(), oldest(opened.store)
    started_ms = time_ms(first) if first else now_ms()
    with progress("Removing", max(0, now_ms() - started_ms)) as advance:
        shown_ms = started_ms
        while (gone := upkeep.expire()) is not None:
            removed += gone
            first = oldest(opened.store)
            if first is not None:
                advance(time_ms(first) - shown_ms)
                shown_ms = time_ms(first)
    return removed


def _age_ms(text: str) -> int:
    found = _AGE.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no age: give 36h, 400d, 8w or 2y")
    return round(float(found[1]) * _UNITS[found[2]])


def _request_age_ms(days: float) -> int:
    if not 0 < days <= DAYS_MAX:  # else ids of a moment ago, or yet to come, would go
        raise typer.BadParameter(f"--request-days should lie above 0, up to {DAYS_MAX:,}")
    return round(days * DAY_MS)


def _bytes(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no size: give 500MiB, 50GiB or 2TiB")
    return round(float(found[1]) * (1 << _PREFIXES[found[2]]))
