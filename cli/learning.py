"""`sendwise train`, `models`, `promote`, `rollback`."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.intervals import Interval, Level, MaxWeight, RewardBounds, interval_settings
from cli.opening import Scope, buried, now, record_act, releases, source
from cli.options import (
    DEFAULT_DATA_DIR,
    AsOf,
    CatalogFile,
    DataDir,
    Format,
    OutputFormat,
    Since,
    Until,
    UntilId,
)
from cli.output import line, progress, show, table
from decisionlog import AuditKind, Tombstone
from decisionlog.erasure import tombstones
from decisionlog.tombstones import erased_until_ms
from policy.learned import Kind
from policy.registry import Manifest, Registry
from policy.rollout import Rollout
from replay.estimate import DEFAULT_LEVEL, optional_json
from replay.gate import GateResult, gate
from replay.intervals.quantiles import check_level
from replay.intervals.settings import Method
from replay.predictions import Predictions
from replay.train import train as train_chain


def train(  # noqa: PLR0913 - one parameter an option
    *,
    data: DataDir = DEFAULT_DATA_DIR,
    catalog: CatalogFile = None,
    as_of: AsOf = None,
    since: Since = None,
    until: Until = None,
    until_id: UntilId = None,
    held_out: Annotated[
        float, typer.Option(help="Share of the subjects to keep for evaluation.", min=0.0, max=0.95)
    ] = 0.3,
    kind: Annotated[
        Kind, typer.Option("--policy", help="What to train; the best so far knows no context.")
    ] = Kind.CHAIN,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Train a policy on the log and register it.

    It answers nobody before `sendwise promote` puts it into force.
    """
    with source(data, Scope(catalog, as_of, since, until, until_id=until_id)) as found:
        total = 2 * found.log.counts().decisions  # each is read, and then learned
        with progress("Training", total) as advance:
            trained = train_chain(
                found.interactions(advance),
                found.catalog,
                found.registry,
                now(),
                held_out_share=held_out,
                kind=kind,
                erased_until_ms=erased_until_ms(tombstones(found.log.store)),
                on_progress=advance,
            )
        left = {reason.value: count for reason, count in found.left.items()}
    version = trained.manifest.version
    facts: dict[str, Any] = {
        "version": version,
        "interactions": trained.interactions,
        "held_out": trained.held_out,
        "left_out": left,
    }
    text = (
        f"{version}: learned from {trained.interactions:,} interactions, kept {trained.held_out:,}"
    )
    show(facts, form, lambda: line(text))


def models(data: DataDir = DEFAULT_DATA_DIR, form: OutputFormat = Format.TEXT) -> None:
    """List the registered policies and what is in force."""
    manifests = list(Registry(data).manifests())
    rollout = releases(data).present()
    erased = {one.version: _erased_since(one, buried(data)) for one in manifests}
    facts = {
        "rollout": rollout.model_dump(mode="json", by_alias=True),
        "models": [
            {**one.model_dump(mode="json", by_alias=True), "erased_since": erased[one.version]}
            for one in manifests
        ],
    }

    def text() -> None:
        _show_rollout(rollout)
        rows = [
            (
                one.version,
                f"{one.created_at:%Y-%m-%d %H:%M}",
                f"{one.interactions:,}",
                f"{erased[one.version]:,}",
            )
            for one in manifests
        ]
        table(("model", "trained (UTC)", "interactions", "erased since"), rows)
        if any(erased.values()):
            line("train anew: the models above may know what was erased since")

    show(facts, form, text)


def _erased_since(manifest: Manifest, tombs: Sequence[Tombstone]) -> int:
    """How many subjects were erased that a model may have learned from."""
    until_ms = manifest.training.erased_until_ms
    return sum(one.erased_at_ms > until_ms for one in tombs)


def promote(  # noqa: PLR0913 - one parameter an option
    version: Annotated[str, typer.Argument(help="Version to put into force.", show_default=False)],
    *,
    data: DataDir = DEFAULT_DATA_DIR,
    catalog: CatalogFile = None,
    as_of: AsOf = None,
    interval: Interval = Method.SKEW,
    level: Level = DEFAULT_LEVEL,
    bounds: RewardBounds = None,
    max_weight: MaxWeight = None,
    force: Annotated[bool, typer.Option("--force", help="Promote without the gate.")] = False,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Make a policy the champion if it beats the present one.

    Better by the log and beyond luck: the whole interval of the difference lies above 0. With
    --interval sequence and --bounds the gate may be tried again and again while the log grows.
    """
    check_level(level)
    intervals = interval_settings(interval, clustered=True, bounds=bounds, max_weight=max_weight)
    facts: dict[str, Any] = {"version": version, "forced": force}
    if not force:
        ask = partial(gate, intervals=intervals, level=level)
        facts["gate"] = _pass_gate(version, data, Scope(catalog, as_of), ask, form)
    rollout = releases(data).promote(version)
    _note(data, rollout, by="promote --force" if force else "promote")
    facts["rollout"] = rollout.model_dump(mode="json", by_alias=True)
    show(facts, form, lambda: _show_rollout(rollout))


def rollback(data: DataDir = DEFAULT_DATA_DIR, form: OutputFormat = Format.TEXT) -> None:
    """Make the champion before this one the champion again."""
    rollout = releases(data).rollback()
    _note(data, rollout, by="rollback")
    facts = {"rollout": rollout.model_dump(mode="json", by_alias=True)}
    show(facts, form, lambda: _show_rollout(rollout))


def _note(data: Path, rollout: Rollout, *, by: str) -> None:
    facts = {"champion": rollout.champion, "sequence": rollout.sequence}
    record_act(data, AuditKind.ROLLOUT, command=by, **facts)


def _pass_gate(
    version: str, data: Path, scope: Scope, ask: Callable[..., GateResult], form: Format
) -> Mapping[str, Any]:
    """What the gate found; ends the command if the candidate does not pass."""
    champion = releases(data).present().champion
    with source(data, scope) as found, progress("Comparing", found.size) as advance:
        result = ask(found, version, champion, on_progress=advance)
    if result.forecast is not None:
        Predictions(data).write(version, result.forecast)
    facts = {
        "passed": result.passed,
        "champion": champion,
        "predicted": optional_json(result.predicted),
        "difference": optional_json(result.difference),
        "n": result.n,
        "reasons": list(result.reasons),
    }
    if not result.passed:
        reasons = "; ".join(result.reasons)
        text = f"{version} stays out: {reasons} (--force promotes it all the same)"
        show({"version": version, "gate": facts}, form, lambda: line(text))
        raise typer.Exit(1)
    return facts


def _show_rollout(rollout: Rollout) -> None:
    rows = [
        (share.arm.name.lower(), share.policy or "no send", f"{share.share:.1%}")
        for share in rollout.arms
    ]
    title = f"rollout {rollout.sequence}, {rollout.catalog}"
    table(("arm", "policy", "share"), rows, title=title)
