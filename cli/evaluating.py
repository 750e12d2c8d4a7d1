"""`sendwise evaluate`: on the log, on a table, or on a log of others."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cli.intervals import Cluster, Interval, Level, MaxWeight, RewardBounds, interval_settings
from cli.opening import Scope, releases, source
from cli.options import (
    DEFAULT_DATA_DIR,
    AsOf,
    CatalogFile,
    DataDir,
    Format,
    OutputFormat,
    Processes,
    Since,
    Until,
    UntilId,
)
from cli.output import line, progress, share_progress, show
from cli.results import log_json, show_log, show_results
from cli.reward_models import estimators_of, fitted, model_for
from cli.together import refuse_useless
from replay.dsjson import DsjsonPlan, evaluate_dsjson
from replay.dsjson.evaluate import DEFAULT_TARGETS
from replay.dsjson.targets import FORMS
from replay.estimate import DEFAULT_LEVEL
from replay.estimators import choose_estimators
from replay.evaluation import EvaluationResult, evaluate_table
from replay.intervals.quantiles import check_level
from replay.intervals.settings import Method
from replay.log_plan import evaluate_source
from replay.reward_models import MODELS
from replay.reward_models.crossfit import FOLDS
from replay.table_reading import OnProgress

Estimators = Annotated[
    list[str] | None,
    typer.Option(
        "--estimator",
        help="Name of an estimator; may be repeated. `all`: every one whose columns are there.",
    ),
]


ON_TABLES = frozenset(
    {
        "file",
        "estimator",
        "interval",
        "level",
        "cluster",
        "bounds",
        "max_weight",
        "processes",
        "form",
    }
)
"""Options of `evaluate` that say something of a table; it names no policies, models or moments."""
ON_DSJSON = ON_TABLES - {"file", "processes"} | {"dsjson", "policy"}
"""Those that say something of others' logs."""


def evaluate(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    *,
    data: DataDir = DEFAULT_DATA_DIR,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="A version, `uniform`, `fixed/OFFER[/CHANNEL]`, `logging`, or module:Class for a "
            "class of your own; may be repeated.",
            show_default="the champion",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--table", help="Evaluate a table (Parquet or CSV: reward, p_log, p_target, …) instead."
        ),
    ] = None,
    dsjson: Annotated[
        Path | None,
        typer.Option(
            help="Evaluate a log of Vowpal Wabbit, Personalizer or their like instead: a file or a "
            f"directory of JSON lines, packed by gzip or not. Policies are {FORMS}."
        ),
    ] = None,
    catalog: CatalogFile = None,
    as_of: AsOf = None,
    since: Since = None,
    until: Until = None,
    until_id: UntilId = None,
    made_by: Annotated[
        str | None, typer.Option(help="Only decisions that this policy version made.")
    ] = None,
    estimator: Estimators = None,
    reward_model: Annotated[
        str | None,
        typer.Option(
            help=f"What dm, dr and their like foresee rewards by: {', '.join(MODELS)}. Each "
            "subject is scored by a model that has not learned from it.",
            show_default="chain, if an estimator needs one",
        ),
    ] = None,
    folds: Annotated[
        int, typer.Option(help="Parts of the subjects to fit reward models for.", min=2, max=20)
    ] = FOLDS,
    interval: Interval = Method.SKEW,
    level: Level = DEFAULT_LEVEL,
    cluster: Cluster = None,
    bounds: RewardBounds = None,
    max_weight: MaxWeight = None,
    processes: Processes = None,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Say what policies would have earned, and how sure that is."""
    check_level(level)
    intervals = interval_settings(interval, clustered=cluster, bounds=bounds, max_weight=max_weight)
    if file is not None:
        refuse_useless(context, "--table", ON_TABLES)
        ask = partial(evaluate_table, level=level, intervals=intervals, processes=processes)
        _on_table(file, partial(ask, file, estimator), form)
    elif dsjson is not None:
        refuse_useless(context, "--dsjson", ON_DSJSON)
        targets = tuple(dict.fromkeys(policy or DEFAULT_TARGETS))
        every = choose_estimators(estimator, ())
        _on_dsjson(dsjson, DsjsonPlan(targets, every, intervals, level), form)
    else:
        names = estimators_of(estimator, reward_model)
        chosen = policy or [releases(data).present().champion]
        with source(data, Scope(catalog, as_of, since, until, made_by, until_id)) as opened:
            model = fitted(opened, model_for(names, reward_model), folds)
            with progress("Evaluating", opened.size) as advance:
                results = evaluate_source(
                    opened,
                    chosen,
                    names,
                    level,
                    reward_model=model,
                    intervals=intervals,
                    processes=processes,
                    on_progress=advance,
                )
        show(log_json(results, chosen), form, lambda: show_log(results, chosen))


def _on_table(file: Path, ask: Callable[[OnProgress], EvaluationResult], form: Format) -> None:
    with share_progress("Reading") as advance:
        found = ask(advance)
    show(found.to_json(), form, lambda: show_results({file.name: found}))


def _on_dsjson(path: Path, plan: DsjsonPlan, form: Format) -> None:
    with share_progress("Reading") as advance:
        found = evaluate_dsjson(path, plan, advance)

    def text() -> None:
        show_results(found.policies)
        for reason, damage in found.left.damaged.items():
            named = ", ".join(damage.named)
            line(f"{damage.count:,} lines left out, since the line {reason}: {named}")
        if found.left.unlabelled:
            line(f"{found.left.unlabelled:,} lines are no decisions with an outcome")

    results = {name: one.to_json() for name, one in found.policies.items()}
    several = next(iter(results.values())) if len(results) == 1 else {"policies": results}
    facts = {"lines": found.lines, "log": {"draws": found.draws}, "left_out": found.left_json()}
    show({**several, **facts}, form, text)
